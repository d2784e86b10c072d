"""A DaemonSet while a node joins, and after it has left."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.workloads import Check, Objects, at_every_change, in_the_end, reached
from kubewitness.clusters.api import nodes, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION, TWO_NODES
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.daemonsets.placement import affine_nodes
from suites.daemonsets.sets import NAME, Watched, all_ready, pods_are
from suites.states import is_ready, nodes_of
from suites.versions import versioned

Tell = Callable[..., Story]
DAEMON_SETS = doc("concepts/workloads/controllers/daemonset")
CHANGING = {TWO_NODES, CONTROLLERS, DISRUPTION}
#: An orphaned pod is collected 40 s after its node was found missing, by a controller that looks every 20 s.
COLLECTED_S = 180.0


@drive
def growing(scene: Scene) -> Watched:
    """A node that joins a cluster with a DaemonSet, loses its power, and is removed."""
    namespace = scene.namespace()
    reserved = {"key": f"kubewitness/{namespace}", "effect": "NoSchedule"}  # keeps the pods of others away
    spec = {**versioned("1"), "tolerations": [{"key": reserved["key"], "operator": "Exists"}]}
    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, manifests.daemon_set(NAME, spec))
        seen.until(pods_are(namespace, all_ready(len(scene.nodes))), what="a pod on every node")
        added = scene.add_node(reserved)
        seen.until(pods_are(namespace, all_ready(len(scene.nodes) + 1)), what="a pod on the new node")
        scene.power_off(added)
        scene.delete(nodes().item(added))
        seen.until(
            pods_are(namespace, lambda now: len(now) == len(scene.nodes)),
            what="the pod of the removed node to be gone", within_s=COLLECTED_S,
        )  # fmt: skip
    return Watched(namespace, seen, made, scene.nodes, added)


def tell(now: Objects) -> str:
    return f"pods for {affine_nodes(now)}, ready on {nodes_of(filter(is_ready, now))}"


def joined(growing: Watched) -> Check:
    return reached(
        growing.pods, f"a ready pod on {growing.found}",
        lambda now: growing.found in nodes_of(filter(is_ready, now)), tell,
    )  # fmt: skip


@behaviour(
    "daemonsets/new-node-gets-pod",
    says="A node that joins the cluster gets a pod of each DaemonSet that selects it.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs=CHANGING,
)  # fmt: skip
def test_new_node_gets_pod(growing: Watched, story: Tell) -> None:
    told = story(growing.seen.watched, f"{growing.namespace}/{NAME}")
    told.must(
        joined(growing),
        at_every_change(
            growing.pods, "one pod, no more, for each node and for the one that joined",
            lambda now: len(set(affine_nodes(now))) == len(now) <= len(growing.nodes) + 1, tell,
        ),
        at_every_change(
            growing.pods, "a ready pod to stay on each of the others",
            lambda now: set(nodes_of(filter(is_ready, now))) >= set(growing.nodes), tell,
            since=lambda now: len([each for each in now if is_ready(each)]) == len(growing.nodes) + 1,
        ),
    )  # fmt: skip


@behaviour(
    "daemonsets/removed-node-pod-collected",
    says="The DaemonSet's pod of a node that is removed from the cluster is garbage-collected.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs=CHANGING,
)  # fmt: skip
def test_removed_node_pod_collected(growing: Watched, story: Tell) -> None:
    told = story(growing.seen.watched, f"{growing.namespace}/{NAME}")
    told.must(
        joined(growing),
        in_the_end(
            growing.pods, f"pods on {growing.nodes}", lambda now: nodes_of(now) == [*growing.nodes], tell
        ),
    )
