"""States of objects that suites wait for and judge by."""

from __future__ import annotations

from collections.abc import Iterable

from kubewitness.checks.selecting import metadata, node_of
from kubewitness.model.observation import ApiObject


def condition(obj: ApiObject | None, kind: str) -> str:
    """The status of a condition: True, False, Unknown, or "" where there is none."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((str(each["status"]) for each in conditions if each["type"] == kind), "")


def phase(pod: ApiObject | None) -> str:
    return str(((pod or {}).get("status") or {}).get("phase", ""))


def is_running(pod: ApiObject | None) -> bool:
    return phase(pod) == "Running"


def has_ended(pod: ApiObject | None) -> bool:
    """All its containers have, for good."""
    return phase(pod) in ("Succeeded", "Failed")


def is_bound(pod: ApiObject | None) -> bool:
    return bool(node_of(pod))


def is_gone(obj: ApiObject | None) -> bool:
    return obj is None


def is_cordoned(node: ApiObject | None) -> bool:
    """Marked unschedulable, and tainted for it."""
    taints = ((node or {}).get("spec") or {}).get("taints") or []
    return "node.kubernetes.io/unschedulable" in [each["key"] for each in taints]


def is_terminating(pod: ApiObject | None) -> bool:
    return "deletionTimestamp" in metadata(pod)


def is_ready(pod: ApiObject | None) -> bool:
    """Ready, and nobody has asked for its end."""
    return condition(pod, "Ready") == "True" and not is_terminating(pod)


def ready(pods: Iterable[ApiObject]) -> list[ApiObject]:
    return [each for each in pods if is_ready(each)]


def staying(pods: Iterable[ApiObject]) -> list[ApiObject]:
    """Those of whom nobody has asked for their end."""
    return [each for each in pods if not is_terminating(each)]


def nodes_of(pods: Iterable[ApiObject]) -> list[str]:
    return sorted(node_of(each) for each in pods)


def container(pod: ApiObject | None, name: str) -> ApiObject:
    """The status of a container, an init container or not; {} if there is none as yet."""
    status = (pod or {}).get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return next((each for each in statuses if each["name"] == name), {})


def termination(status: ApiObject) -> ApiObject:
    """How a container ended that has done so, by its status; {} while it has not."""
    return dict(status.get("state", {}).get("terminated") or {})


def restarts(pod: ApiObject | None) -> dict[str, int]:
    """How often each container was restarted."""
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return {each["name"]: each["restartCount"] for each in statuses}


def addresses(pod: ApiObject | None) -> list[str]:
    """Those of a pod, one for each family; empty as long as it has none."""
    return [str(each["ip"]) for each in ((pod or {}).get("status") or {}).get("podIPs") or []]


def waiting_reason(pod: ApiObject | None) -> str:
    """Why the first container that waits does so."""
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    reasons = (each.get("state", {}).get("waiting", {}).get("reason", "") for each in statuses)
    return next(filter(None, reasons), "")


def app(obj: ApiObject) -> str:
    return str((metadata(obj).get("labels") or {}).get("app", ""))


def controller_of(obj: ApiObject) -> str:
    """The uid of the owner that controls it; "" if nobody does."""
    owners = metadata(obj).get("ownerReferences") or []
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")


def ready_endpoints(slices: Iterable[ApiObject]) -> list[str]:
    """The names of the pods to which these EndpointSlices send new connections."""
    found = [each for one in slices for each in one.get("endpoints") or []]
    return sorted(str(each["targetRef"]["name"]) for each in found if each["conditions"].get("ready"))
