"""Mutants of the DaemonSets' suite: what the watches delivered is another thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kubewitness.checks.selecting import node_of
from kubewitness.model.history import History
from kubewitness.model.observation import ApiRequest, Observation, Speaker
from suites import manifests
from tests.mutants.followed import (
    Event,
    Events,
    Picks,
    Step,
    ending,
    followed,
    on,
    pods,
    step,
    twin,
    unready,
    without,
)
from tests.mutants.mutations import Mutation, change, drop

RECORDING = "daemonsets-insecure-standard"
#: The one behaviour that is judged by the capture, with it.
TRAFFIC = "daemonsets-traffic-insecure-standard"
PLACED = "daemonsets/placed-by-default-scheduler"


def _followed(drive: str, how: Events) -> Step:
    return followed(f"daemonsets/{drive}", how)


def _version(value: str, *nodes: str) -> Picks:
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


def _app(name: str) -> Picks:
    return lambda pod: pod["metadata"]["labels"]["app"] == name


def _mutant(name: str, outcome: str, how: Step, *neighbours: str) -> Mutation:
    others = frozenset(f"daemonsets/{each}" for each in neighbours)
    return Mutation(name, f"daemonsets/{outcome}", step=how, neighbours=others, recording=RECORDING)


def _binding(seen: Observation) -> bool:
    """Of a test's pod: the cluster's own are bound meanwhile, too."""
    return isinstance(seen, ApiRequest) and seen.subresource == "binding" and seen.namespace.startswith("kw-")


def _to_another_node(seen: ApiRequest) -> ApiRequest:
    return replace(seen, body={**(seen.body or {}), "target": {"kind": "Node", "name": "node9"}})


def _by_the_controller(seen: ApiRequest) -> ApiRequest:
    return replace(seen, sender=Speaker("kube-controller-manager", 1))


def _bound(name: str, how: Callable[[History], History]) -> Mutation:
    return Mutation(name, PLACED, history=how, recording=TRAFFIC)


MUTATIONS = (
    _bound("a pod is bound to a node that it was not made for", change(_binding, _to_another_node)),
    _bound("the controller binds a pod itself", change(_binding, _by_the_controller)),
    _bound("nothing is bound", drop(_binding)),
    _mutant("a node has two pods", "one-pod-per-node", _followed("placed", twin("twin", on("node1")))),
    _mutant(
        "replicas are accepted", "has-no-replicas",
        step("daemonsets/placed", "refusal of POST", {"status": 0, "message": "accepted"}),
    ),
    _mutant(
        "an unlabelled node keeps its pod", "node-selector-limits-placement",
        _followed("selected", without("DELETED", on("node2"))),
    ),
    _mutant(
        "an intolerant pod is on the tainted node", "taints-and-tolerations",
        _followed(
            "repelled",
            pods(lambda pod: {**pod, "spec": {**pod["spec"], "nodeName": "node2"}}, _app("plain")),
        ),
    ),
    _mutant(
        "a deleted DaemonSet leaves a pod", "delete-removes-pods",
        _followed("deleted", twin("left", _app("collecting"))),
    ),
    _mutant(
        "orphans are collected, too", "delete-removes-pods",
        _followed("deleted", pods(ending, _app("orphaning"))),
    ),
    _mutant(
        "a pod that nobody deleted is replaced", "on-delete-waits-for-deletion",
        _followed("by_hand", pods(_to("2"), on("node1"))),
    ),
    _mutant(
        "two nodes are without a ready pod at once", "rolling-update-respects-max-unavailable",
        _followed("rolled", pods(unready, _version("2", "node1", "node2"))),
    ),
    _mutant(
        "the new version stays on a node", "rollback-restores-revision",
        _followed("rolled", twin("stays", _version("2", "node1"))),
    ),
    _mutant(
        "a surge leaves a node without a ready pod", "rolling-update-respects-max-surge",
        _followed("surging", pods(unready, _version("2", "node1"))),
    ),
    _mutant(
        "all pods get the version that cannot start", "rolling-update-waits-for-ready",
        _followed("stuck", pods(_to("2"), _version("1"))),
    ),
    _mutant(
        "the node that joined gets no pod", "new-node-gets-pod",
        _followed("growing", pods(unready, on("node4"))), "removed-node-pod-collected",
    ),
    _mutant(
        "the pod of the removed node stays", "removed-node-pod-collected",
        _followed("growing", without("DELETED", on("node4"))),
    ),
)  # fmt: skip
