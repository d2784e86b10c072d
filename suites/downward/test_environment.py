"""What a container finds about its pod and its node in its environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubewitness.checks.downward import divided, field
from kubewitness.checks.selecting import node_of, uid_of
from kubewitness.checks.workloads import Check, equal
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, REAL_NODES
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.downward.conftest import ACCOUNT, AFTER, BEFORE, HOSTED, INFO, NAME, Informed, OnHost
from suites.downward.fields import AMOUNTS, ANNOTATION, FIELDS, LABEL, TIER

Tell = Callable[..., Story]
DOWNWARD = doc("concepts/workloads/pods/downward-api")
VARIABLES = doc("tasks/inject-data-application/environment-variable-expose-pod-information")


def as_in_the_api(informed: Informed, name: str) -> Check:
    """The container has what the API server says of its pod, and that is not nothing."""
    known = field(informed.pod, FIELDS[name])
    return told(informed, name, f"{FIELDS[name]} in the API", known or "anything at all")


def told(informed: Informed, name: str, what: str, wanted: object) -> Check:
    return equal(f"{name}, as {what}", wanted, informed.environment.get(name))


def node_address(node: ApiObject) -> str:
    found = node["status"]["addresses"]
    return next((str(each["address"]) for each in found if each["type"] == "InternalIP"), "none")


def among(addresses: Sequence[str], interfaces: Sequence[str]) -> list[str]:
    """Those of the addresses that are on the interfaces."""
    return [each for each in addresses if each in interfaces]


@behaviour(
    "downward/env-host-ip",
    says="A container gets its node's address from the field status.hostIP.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_host_ip(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "HOST_IP"),
        told(informed, "HOST_IP", "the address of its node", node_address(informed.node)),
    )


@behaviour(
    "downward/env-pod-ip",
    says="A container gets its pod's primary address from the field status.podIP.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_pod_ip(informed: Informed, story: Tell) -> None:
    address = informed.environment.get("POD_IP", "")
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "POD_IP"),
        equal("POD_IP on the pod's own interfaces", [address], among([address], informed.addresses)),
        told(informed, "POD_IP", "the first of all addresses", informed.pod["status"]["podIPs"][0]["ip"]),
    )


@behaviour(
    "downward/env-pod-ips",
    says="A container gets all of its pod's addresses from the field status.podIPs.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_pod_ips(informed: Informed, story: Tell) -> None:
    addresses = informed.environment.get("POD_IPS", "").split(",")
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "POD_IPS"),
        equal("POD_IPS on the pod's own interfaces", addresses, among(addresses, informed.addresses)),
    )


@behaviour(
    "downward/env-node-name",
    says="A container gets its node's name from the field spec.nodeName.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_node_name(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "NODE_NAME"),
        equal("a pod that was not told its node when it was created", "", node_of(informed.created)),
        equal("its host's address", informed.pod["status"]["hostIP"], node_address(informed.node)),
    )


@behaviour(
    "downward/env-namespace",
    says="A container gets its pod's namespace from the field metadata.namespace.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_namespace(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "NAMESPACE"), told(informed, "NAMESPACE", "asked", informed.namespace)
    )


@behaviour(
    "downward/env-pod-name",
    says="A container gets its pod's name from the field metadata.name.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_pod_name(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "POD_NAME"),
        told(informed, "POD_NAME", "asked", NAME),
        told(informed, "POD_NAME", "the host name that the container sees", informed.hostname),
    )


@behaviour(
    "downward/env-uid",
    says="A container gets its pod's uid from the field metadata.uid.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_uid(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "POD_UID"),
        told(informed, "POD_UID", "the answer to the pod's creation", uid_of(informed.created)),
    )


@behaviour(
    "downward/env-service-account",
    says="A container gets its pod's service account from the field spec.serviceAccountName.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_service_account(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "SERVICE_ACCOUNT"), told(informed, "SERVICE_ACCOUNT", "asked", ACCOUNT)
    )


@behaviour(
    "downward/env-labels-by-key",
    says="A container gets the value of one of its pod's labels by the label's key.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_labels_by_key(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "TIER"), told(informed, "TIER", "asked", BEFORE.labels[LABEL])
    )


@behaviour(
    "downward/env-annotations-by-key",
    says="A container gets the value of one of its pod's annotations by the annotation's key.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_env_annotations_by_key(informed: Informed, story: Tell) -> None:
    story(informed.seen.watched, informed.key).must(
        as_in_the_api(informed, "NOTE"), told(informed, "NOTE", "asked", BEFORE.annotations[ANNOTATION])
    )


@behaviour(
    "downward/resource-fields",
    says="A container gets its requests and limits, divided by the divisor and rounded up, and the node's"
    " allocatable where it has no limit.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={CONTROLLERS},
)  # fmt: skip
def test_resource_fields(informed: Informed, on_host: OnHost, story: Tell) -> None:
    allocatable = on_host.node["status"]["allocatable"]
    unlimited = {
        name: divided(allocatable[resource.removeprefix("limits.")], divisor or "1")
        for name, (resource, divisor, _) in AMOUNTS.items()
        if resource in ("limits.cpu", "limits.memory")
    }
    story(informed.seen.watched, informed.key, f"{on_host.namespace}/{HOSTED}").must(
        *(
            told(informed, name, f"{resource} divided by {divisor or '1'}", value)
            for name, (resource, divisor, value) in AMOUNTS.items()
        ),
        *(
            equal(f"{name} without a limit, as allocatable", value, on_host.environment.get(name))
            for name, value in unlimited.items()
        ),
    )


@behaviour(
    "downward/env-is-fixed-at-start",
    says="An environment variable keeps the value it had when the container started, whatever changes in the"
    " pod.",
    kind=Kind.REQUIRED, source=VARIABLES, needs={CONTROLLERS},
)  # fmt: skip
def test_env_is_fixed_at_start(informed: Informed, story: Tell) -> None:
    # What a container that starts after the change gets is not judged: a kubelet may start it from the pod as
    # it was before, even when the files have changed already.
    story(informed.seen.watched, informed.key).must(
        equal("the label in the API, changed", AFTER.labels[LABEL], field(informed.changed_pod, TIER)),
        equal(
            "the label in a file, changed: the kubelet knows of it", AFTER.labels[LABEL],
            informed.changed_files[f"{INFO}/tier"].get("content"),
        ),
        equal("the environment as at the start", informed.environment, informed.changed_environment),
        equal("the container, never started again", informed.containers, informed.changed_containers),
    )  # fmt: skip


@behaviour(
    "downward/host-ip-equals-node-address",
    says="The host address that a container gets equals the node's address in the API and on the node's"
    " interface.",
    kind=Kind.REQUIRED, source=DOWNWARD, needs={REAL_NODES, CONTROLLERS},
)  # fmt: skip
def test_host_ip_equals_node_address(on_host: OnHost, informed: Informed, story: Tell) -> None:
    address = on_host.environment.get("HOST_IP", "")
    story(on_host.seen.watched, f"{on_host.namespace}/{HOSTED}", informed.key).must(
        equal("HOST_IP, as the node's address in the API", node_address(on_host.node), address),
        equal("HOST_IP on the node's interfaces", [address], among([address], on_host.addresses)),
        equal("HOST_IP, as the pod's status.hostIP", on_host.pod["status"]["hostIP"], address),
        equal("HOST_IP, as POD_IP in the node's network", on_host.environment.get("POD_IP"), address),
        equal(
            "HOST_IP on the interfaces of a pod with a network of its own", [],
            among([informed.environment.get("HOST_IP", "")], informed.addresses),
        ),
    )  # fmt: skip
