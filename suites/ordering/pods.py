"""Pods that provoke an ordering, and the states that they pass through."""

from __future__ import annotations

from typing import Any

from kubewitness.model.observation import ApiObject, WatchEvent
from suites.states import is_bound, is_running, is_terminating, phase

IMAGE = "registry.k8s.io/pause:3.10.2"


def pause_pod(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A pod that does nothing. On the host's network, so that it needs no pod network to run."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "pause", "image": IMAGE, "imagePullPolicy": "Never"}],
            **spec,
        },
    }


def deployment(namespace: str, name: str) -> dict[str, Any]:
    """One replica of a pause pod."""
    labels = {"app": name}
    pod = pause_pod(namespace, name)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def failed_for_good(pod: ApiObject | None) -> bool:
    return phase(pod) in ("Failed", "Succeeded")


def is_unschedulable(pod: ApiObject | None) -> bool:
    conditions = ((pod or {}).get("status") or {}).get("conditions") or []
    return any(
        each["type"] == "PodScheduled" and each.get("reason") == "Unschedulable" for each in conditions
    )


def is_creating(pod: ApiObject | None) -> bool:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return any(each["state"].get("waiting", {}).get("reason") == "ContainerCreating" for each in statuses)


#: The states of a pod that a client sees one after the other.
CLIENT_STATES = (
    ("unbound", lambda event: not is_bound(event.object)),
    ("bound", lambda event: is_bound(event.object)),
    ("Pending with ContainerCreating", lambda event: is_creating(event.object)),
    ("Running", lambda event: is_running(event.object)),
)


def alive(event: WatchEvent) -> bool:
    """Events of a pod's life before anybody asked for its end."""
    return event.type != "DELETED" and not is_terminating(event.object)
