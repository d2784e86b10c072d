"""Mutants of what pods were told about themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kubewitness.checks.selecting import metadata
from kubewitness.model.observation import ApiObject, Observation, WatchEvent
from suites.downward.fields import LABEL
from tests.mutants.mutations import Mutation, change, drop

RECORDING = "downward-insecure-standard"
WIRE = "downward/values-match-wire"
FIXED = "downward/env-is-fixed-at-start"
FOLLOWS = "downward/volume-follows-label-change"
FILES = "downward/volume-files-and-modes"
NODE_NAME = "downward/env-node-name"
POD_IPS = "downward/env-pod-ips"
ON_THE_WIRE = frozenset({WIRE})

Result = dict[str, Any]
Step = Callable[[str, str, Any], Any]


def told(
    end: str,
    how: Callable[[Result], Result],
    *,
    where: Callable[[Result], bool] = lambda _: True,
    drive: str = "informed",
) -> Step:
    """The answers to a drive's requests whose path has this end are others."""

    def mutate(scene: str, what: str, result: Any) -> Any:
        asked = scene == f"downward/{drive}" and what.startswith(("GET", "refusal")) and what.endswith(end)
        return how(result) if asked and where(result) else result

    return mutate


class Second:
    """Of the answers that a mutation of steps would change, only the second."""

    def __init__(self, mutate: Step) -> None:
        self._mutate = mutate
        self._met = 0

    def __call__(self, scene: str, what: str, result: Any) -> Any:
        mutated = self._mutate(scene, what, result)
        self._met += mutated != result
        return mutated if self._met == 2 else result


def variables(drive: str = "informed", **values: str) -> Step:
    return told("/proxy/env", lambda found: {**found, **values}, drive=drive)


def files(where: Callable[[Result], bool] = lambda _: True, **values: object) -> Step:
    return told("/proxy/file", lambda found: {**found, **values}, where=where)


def starts(key: str, value: str) -> Callable[[Result], bool]:
    return lambda found: str(found.get(key)).startswith(value)


def interfaces(how: Callable[[list[str]], list[str]], drive: str = "informed") -> Step:
    return told("/proxy/addresses", lambda found: {"addresses": how(found["addresses"])}, drive=drive)


def _on_node(how: Callable[[Result], Result]) -> Step:
    """The node of the informed pod, whichever it is, is another."""
    return lambda scene, what, result: (
        how(result) if scene == "downward/informed" and "/api/v1/nodes/" in what else result
    )


def _label(obj: ApiObject) -> str:
    return str((metadata(obj).get("labels") or {}).get(LABEL))


def _without_addresses(node: Result) -> Result:
    return {**node, "status": {**node["status"], "addresses": []}}


def _started_again(pod: Result) -> Result:
    statuses = [
        {**each, "restartCount": each["restartCount"] + 1} for each in pod["status"]["containerStatuses"]
    ]
    return {**pod, "status": {**pod["status"], "containerStatuses": statuses}}


def _to_kubelet(value: str) -> Callable[[Observation], bool]:
    """Deliveries to a kubelet of the pod with this label."""
    return lambda seen: (
        isinstance(seen, WatchEvent) and seen.receiver.role == "kubelet" and _label(seen.object) == value
    )


def _with_label(event: WatchEvent) -> WatchEvent:
    labels = {**event.object["metadata"]["labels"], LABEL: "side"}
    return replace(event, object={**event.object, "metadata": {**event.object["metadata"], "labels": labels}})


class PodAppears:
    """The watch of the namespace in which no pod may be has seen one."""

    def __init__(self) -> None:
        self._namespace = ""

    def __call__(self, scene: str, what: str, result: Any) -> Any:
        if scene != "downward/refusals":
            return result
        if what == "namespace":
            self._namespace = result
        if what != "followed":
            return result
        collection = f"/api/v1/namespaces/{self._namespace}/pods"
        stored = {"metadata": {"name": "asking", "namespace": self._namespace}}
        event = {"position": 1, "time_ns": 0, "collection": collection, "type": "ADDED", "object": stored}
        return [*result, event]


def _env(field: str, name: str, value: str) -> Mutation:
    return Mutation(
        f"{name} is another",
        f"downward/env-{field}",
        step=variables("informed", **{name: value}),
        neighbours=ON_THE_WIRE,
        recording=RECORDING,
    )


MUTATIONS: tuple[Mutation, ...] = (
    _env("host-ip", "HOST_IP", "10.0.0.99"),
    _env("pod-ip", "POD_IP", "10.0.0.99"),
    _env("pod-ips", "POD_IPS", "10.0.0.98,10.0.0.99"),
    _env("node-name", "NODE_NAME", "node9"),
    _env("namespace", "NAMESPACE", "default"),
    _env("pod-name", "POD_NAME", "another"),
    _env("uid", "POD_UID", "another"),
    _env("service-account", "SERVICE_ACCOUNT", "default"),
    Mutation(
        "the container does not get the label",
        "downward/env-labels-by-key",
        step=variables(TIER=""),
        neighbours=ON_THE_WIRE,
        recording=RECORDING,
    ),
    Mutation(
        "the container gets only the annotation's first line",
        "downward/env-annotations-by-key",
        step=variables(NOTE="two lines"),
        neighbours=ON_THE_WIRE,
        recording=RECORDING,
    ),
    Mutation(
        "the node has no address",
        "downward/env-host-ip",
        step=_on_node(_without_addresses),
        neighbours=frozenset({NODE_NAME}),
        recording=RECORDING,
    ),
    Mutation(
        "the pod's address is on none of its interfaces",
        "downward/env-pod-ip",
        step=interfaces(lambda _: ["127.0.0.1"]),
        neighbours=frozenset({POD_IPS}),
        recording=RECORDING,
    ),
    Mutation(
        "a request is rounded to the nearest",
        "downward/resource-fields",
        step=variables(MEMORY_REQUEST_KI="19531"),
        recording=RECORDING,
    ),
    Mutation(
        "a divisor is ignored",
        "downward/resource-fields",
        step=variables(CPU_LIMIT_MILLI="2"),
        recording=RECORDING,
    ),
    Mutation(
        "a container without a limit gets none",
        "downward/resource-fields",
        step=variables("on_host", MEMORY_LIMIT="0"),
        recording=RECORDING,
    ),
    Mutation(
        "the mode of an item is ignored",
        FILES,
        step=files(lambda found: found["mode"] == "0400", mode="0440"),
        recording=RECORDING,
    ),
    Mutation(
        "the mode of a volume is ignored",
        FILES,
        step=files(lambda found: found["mode"] == "0440", mode="0644"),
        recording=RECORDING,
    ),
    Mutation(
        "a file has the name of another pod",
        FILES,
        step=files(lambda found: found["content"] == "informed", content="another"),
        recording=RECORDING,
    ),
    Mutation(
        "an item has no file",
        FILES,
        step=told(
            "/proxy/files", lambda found: {"files": [each for each in found["files"] if "cpu" not in each]}
        ),
        recording=RECORDING,
    ),
    Mutation(
        "a file that nobody asked for",
        FILES,
        step=told("/proxy/files", lambda found: {"files": [*found["files"], f"{found['files'][0]}/more"]}),
        recording=RECORDING,
    ),
    Mutation(
        "the file keeps the old label",
        FOLLOWS,
        step=files(lambda found: found["content"] == "back", content="front"),
        neighbours=frozenset({FIXED, WIRE}),
        recording=RECORDING,
    ),
    Mutation(
        "the list of annotations keeps the old one",
        FOLLOWS,
        step=files(starts("content", 'example.com/note="changed"'), content="kept"),
        recording=RECORDING,
    ),
    Mutation(
        "the container is started again to see the new label",
        FOLLOWS,
        step=told("/pods/informed", _started_again, where=lambda pod: _label(pod) == "back"),
        neighbours=frozenset({FIXED}),
        recording=RECORDING,
    ),
    Mutation(
        "the new label reaches the environment of the running container",
        FIXED,
        step=Second(variables(TIER="back")),
        recording=RECORDING,
    ),
    Mutation(
        "the container gets another host address",
        "downward/host-ip-equals-node-address",
        step=variables("on_host", HOST_IP="10.0.0.99"),
        recording=RECORDING,
    ),
    Mutation(
        "the node's address is on none of its interfaces",
        "downward/host-ip-equals-node-address",
        step=interfaces(lambda _: ["127.0.0.1"], "on_host"),
        recording=RECORDING,
    ),
    Mutation(
        "the kubelet was given another label than the container has",
        WIRE,
        change(_to_kubelet("front"), _with_label),
        recording=RECORDING,
    ),
    Mutation(
        "the kubelet was never given the new label",
        WIRE,
        drop(_to_kubelet("back")),
        recording=RECORDING,
    ),
    Mutation(
        "a pod that asks for an unknown field is accepted",
        "downward/unknown-field-refused",
        step=told(
            "/pods", lambda _: {"status": 0, "message": "accepted"}, drive="refusals",
            where=lambda answer: "status.phase" in answer["message"],
        ),
        recording=RECORDING,
    ),
    Mutation(
        "a pod is refused for something else",
        "downward/unknown-field-refused",
        step=told("/pods", lambda found: {**found, "message": "no such namespace"}, drive="refusals"),
        recording=RECORDING,
    ),
    Mutation(
        "a refused pod is there all the same",
        "downward/unknown-field-refused",
        step=PodAppears(),
        recording=RECORDING,
    ),
)  # fmt: skip
