"""Mutants of the DaemonSets' suite: what the watches delivered is another thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubewitness.checks.selecting import node_of
from suites import manifests
from tests.mutants.mutations import Mutation

RECORDING = "daemonsets-insecure-standard"
Event = dict[str, Any]
Events = Callable[[list[Event]], list[Event]]
Step = Callable[[str, str, Any], Any]


def _followed(drive: str, how: Callable[[list[Event]], list[Event]]) -> Step:
    def mutate(scene: str, what: str, result: Any) -> Any:
        return how(result) if (scene, what) == (f"daemonsets/{drive}", "followed") else result

    return mutate


def _pods(
    how: Callable[[Event], Event], where: Callable[[Event], bool]
) -> Callable[[list[Event]], list[Event]]:
    """Pods of which ``where`` is true are others."""

    def one(event: Event) -> Event:
        ours = event["collection"].endswith("/pods") and where(event["object"])
        return {**event, "object": how(event["object"])} if ours else event

    return lambda events: [one(each) for each in events]


def _twin(name: str, of: Callable[[Event], bool]) -> Callable[[list[Event]], list[Event]]:
    """Beside the last of such pods there was another one like it, and it stayed."""

    def mutate(events: list[Event]) -> list[Event]:
        model = next(
            each for each in reversed(events) if "/pods" in each["collection"] and of(each["object"])
        )
        obj = {**model["object"], "metadata": {**model["object"]["metadata"], "name": name}}
        twin = {**model, "type": "ADDED", "object": obj}
        at = events.index(model) + 1
        return [*events[:at], twin, *events[at:]]

    return mutate


def _without(kind: str, of: Callable[[Event], bool]) -> Callable[[list[Event]], list[Event]]:
    return lambda events: [
        each
        for each in events
        if not ("/pods" in each["collection"] and each["type"] == kind and of(each["object"]))
    ]


def _unready(pod: Event) -> Event:
    conditions = [{"type": "Ready", "status": "False"}]
    return {**pod, "status": {**pod["status"], "conditions": conditions}}


def _ending(pod: Event) -> Event:
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "now"}}


def _on(node: str) -> Callable[[Event], bool]:
    return lambda pod: node_of(pod) == node


def _version(value: str, *nodes: str) -> Callable[[Event], bool]:
    return lambda pod: (
        manifests.environment(pod).get("VERSION") == value and (not nodes or node_of(pod) in nodes)
    )


def _to(value: str) -> Callable[[Event], Event]:
    def how(pod: Event) -> Event:
        containers = [
            {**each, "env": [{"name": "VERSION", "value": value}]} for each in pod["spec"]["containers"]
        ]
        return {**pod, "spec": {**pod["spec"], "containers": containers}}

    return how


def _app(name: str) -> Callable[[Event], bool]:
    return lambda pod: pod["metadata"]["labels"]["app"] == name


def _step(drive: str, start: str, result: Any) -> Step:
    return lambda scene, what, was: (
        result if scene == f"daemonsets/{drive}" and what.startswith(start) else was
    )


def _mutant(name: str, outcome: str, step: Step, *neighbours: str) -> Mutation:
    others = frozenset(f"daemonsets/{each}" for each in neighbours)
    return Mutation(name, f"daemonsets/{outcome}", step=step, neighbours=others, recording=RECORDING)


MUTATIONS = (
    _mutant("a node has two pods", "one-pod-per-node", _followed("placed", _twin("twin", _on("node1")))),
    _mutant(
        "replicas are accepted", "has-no-replicas",
        _step("placed", "refusal of POST", {"status": 0, "message": "accepted"}),
    ),
    _mutant(
        "an unlabelled node keeps its pod", "node-selector-limits-placement",
        _followed("selected", _without("DELETED", _on("node2"))),
    ),
    _mutant(
        "an intolerant pod is on the tainted node", "taints-and-tolerations",
        _followed(
            "repelled",
            _pods(lambda pod: {**pod, "spec": {**pod["spec"], "nodeName": "node2"}}, _app("plain")),
        ),
    ),
    _mutant(
        "a deleted DaemonSet leaves a pod", "delete-removes-pods",
        _followed("deleted", _twin("left", _app("collecting"))),
    ),
    _mutant(
        "orphans are collected, too", "delete-removes-pods",
        _followed("deleted", _pods(_ending, _app("orphaning"))),
    ),
    _mutant(
        "a pod that nobody deleted is replaced", "on-delete-waits-for-deletion",
        _followed("by_hand", _pods(_to("2"), _on("node1"))),
    ),
    _mutant(
        "two nodes are without a ready pod at once", "rolling-update-respects-max-unavailable",
        _followed("rolled", _pods(_unready, _version("2", "node1", "node2"))),
    ),
    _mutant(
        "the new version stays on a node", "rollback-restores-revision",
        _followed("rolled", _twin("stays", _version("2", "node1"))),
    ),
    _mutant(
        "a surge leaves a node without a ready pod", "rolling-update-respects-max-surge",
        _followed("surging", _pods(_unready, _version("2", "node1"))),
    ),
    _mutant(
        "all pods get the version that cannot start", "rolling-update-waits-for-ready",
        _followed("stuck", _pods(_to("2"), _version("1"))),
    ),
    _mutant(
        "the node that joined gets no pod", "new-node-gets-pod",
        _followed("growing", _pods(_unready, _on("node4"))), "removed-node-pod-collected",
    ),
    _mutant(
        "the pod of the removed node stays", "removed-node-pod-collected",
        _followed("growing", _without("DELETED", _on("node4"))),
    ),
)  # fmt: skip
