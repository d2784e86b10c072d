"""A DaemonSet's pods follow the nodes."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive, drive_alone
from fixtures.stage import Scene
from kubewitness.checks.ordering import happens_in_order
from kubewitness.checks.selecting import created_in, metadata, node_of, uid_of
from kubewitness.checks.workloads import Objects, at_every_change, contains, equal, in_the_end
from kubewitness.clusters.api import nodes, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION, READABLE_TRAFFIC, TWO_NODES
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.daemonsets.placement import affine_nodes, binding_targets
from suites.daemonsets.sets import (
    NAME,
    Watched,
    all_ready,
    created,
    pods_are,
    sets,
)
from suites.states import controller_of, is_cordoned, nodes_of, staying
from suites.versions import versioned

Tell = Callable[..., Story]
DAEMON_SETS = doc("concepts/workloads/controllers/daemonset")
ON_NODES = {TWO_NODES, CONTROLLERS}
TAINT = {"key": "kubewitness/reserved", "effect": "NoSchedule"}


@drive
def placed(scene: Scene) -> Watched:
    """A DaemonSet that selects every node."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace), sets(namespace)) as seen:
        made = created(scene, seen, namespace)
        path = f"{sets(namespace).path}/{NAME}"
        scale = scene.refusal("GET", f"{path}/scale")
        counted = manifests.daemon_set("counted", replicas=1)
        # A version that does not validate would take it, and must not make pods of it.
        strict = {"fieldValidation": "Strict", "dryRun": "All"}
        replicas = scene.refusal("POST", sets(namespace).path, counted, query=strict)
    return Watched(namespace, seen, made, scene.nodes, (scale, replicas))


@behaviour(
    "daemonsets/one-pod-per-node",
    says="A DaemonSet runs exactly one pod on each eligible node.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs=ON_NODES,
)  # fmt: skip
def test_one_pod_per_node(placed: Watched, story: Tell) -> None:
    told = story(placed.seen.watched, f"{placed.namespace}/{NAME}")
    told.must(
        in_the_end(
            placed.pods, f"one pod on each of {placed.nodes}", lambda now: nodes_of(now) == [*placed.nodes],
            lambda now: f"pods on {nodes_of(now)}",
        ),
        at_every_change(
            placed.pods, "at most one pod for each node",
            lambda now: len(affine_nodes(now)) == len(set(affine_nodes(now))),
            lambda now: f"pods for {affine_nodes(now)}",
        ),
    )  # fmt: skip


@behaviour(
    "daemonsets/has-no-replicas",
    says="The number of a DaemonSet's pods follows the eligible nodes, and the object has no replica count to"
    " set.",
    # Before, a server drops a field that it does not know, and says nothing.
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs=ON_NODES, since="1.25",
)  # fmt: skip
def test_has_no_replicas(placed: Watched, story: Tell) -> None:
    scale, replicas = placed.found
    told = story(placed.seen.watched, f"{placed.namespace}/{NAME}")
    told.must(
        equal("the answer to a request for its scale", 404, scale["status"]),
        equal("the answer to one with replicas", 400, replicas["status"]),
        contains("a refusal", 'unknown field "spec.replicas"', replicas["message"]),
        in_the_end(
            placed.sets, f"{len(placed.nodes)} pods wanted, as many as nodes",
            lambda now: [each["status"]["desiredNumberScheduled"] for each in now] == [len(placed.nodes)],
            lambda now: str([each["status"] for each in now]),
        ),
    )  # fmt: skip


@behaviour(
    "daemonsets/placed-by-default-scheduler",
    says="A DaemonSet's pod is created with a node affinity for its node, and the binding to that node is"
    " posted by the default scheduler.",
    kind=Kind.OBSERVED, source=DAEMON_SETS, needs={*ON_NODES, READABLE_TRAFFIC}, since="1.12",
)  # fmt: skip
def test_placed_by_default_scheduler(placed: Watched, story: Tell) -> None:
    told = story(placed.seen.history, f"{placed.namespace}/{NAME}")
    first = told.first("pod", created_in(placed.namespace, "pods", "kube-controller-manager"))
    bound = told.first("binding", created_in(placed.namespace, "pods/binding", "kube-scheduler"))
    told.must(
        happens_in_order(first, bound),
        equal(
            "the nodes that pods were made for, and those that they were bound to",
            [*placed.nodes],
            binding_targets(placed.seen.history, placed.namespace),
        ),
    )


@drive
def selected(scene: Scene) -> Watched:
    """A DaemonSet for labelled nodes: first one, then two, then the other one."""
    namespace = scene.namespace()
    key = f"kubewitness/{namespace}"
    spec = {**versioned("1"), "nodeSelector": {key: "yes"}}
    with scene.recording(pods(namespace)) as seen:
        scene.patch(*manifests.labelled(scene.nodes[-2], key, "yes"))
        made = scene.create(namespace, manifests.daemon_set(NAME, spec))
        seen.until(pods_are(namespace, all_ready(1)), what="a pod on the labelled node")
        scene.patch(*manifests.labelled(scene.nodes[-1], key, "yes"))
        seen.until(pods_are(namespace, all_ready(2)), what="a pod on the second labelled node")
        scene.patch(*manifests.labelled(scene.nodes[-2], key, None))
        seen.until(pods_are(namespace, all_ready(1)), what="the pod on the unlabelled node to go")
    scene.patch(*manifests.labelled(scene.nodes[-1], key, None))
    return Watched(namespace, seen, made, scene.nodes)


@behaviour(
    "daemonsets/node-selector-limits-placement",
    says="A DaemonSet with a node selector runs pods only on the nodes that match, and follows changes of"
    " their labels.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs={*ON_NODES, DISRUPTION},
)  # fmt: skip
def test_node_selector_limits_placement(selected: Watched, story: Tell) -> None:
    last = selected.nodes[-1]
    told = story(selected.seen.watched, f"{selected.namespace}/{NAME}")
    told.must(
        at_every_change(
            selected.pods, "pods for labelled nodes only",
            lambda now: set(affine_nodes(now)) <= {*selected.nodes[-2:]},
            lambda now: f"pods for {affine_nodes(now)}",
        ),
        in_the_end(
            selected.pods, f"a pod on {last} alone", lambda now: nodes_of(now) == [last],
            lambda now: f"pods on {nodes_of(now)}",
        ),
    )  # fmt: skip


@drive_alone
def repelled(scene: Scene) -> Watched:
    """A tainted node and a cordoned one, a DaemonSet that tolerates the taint, and one that does not."""
    namespace, last = scene.namespace(), scene.nodes[-1]
    tolerant = {**versioned("1"), "tolerations": [{"key": TAINT["key"], "operator": "Exists"}]}
    scene.taint(scene.nodes[-2], [TAINT])
    with scene.cordoned(last), scene.recording(pods(namespace)) as seen:
        scene.wait(nodes(), last, is_cordoned, what="the cordoned node to be tainted", within_s=60)
        scene.create(namespace, manifests.daemon_set("tolerant", tolerant))
        made = scene.create(namespace, manifests.daemon_set("plain", versioned("1")))
        seen.until(pods_are(namespace, all_ready(2 * len(scene.nodes) - 1)), what="all pods but one")
    scene.taint(scene.nodes[-2], [])
    return Watched(namespace, seen, made, scene.nodes)


@behaviour(
    "daemonsets/taints-and-tolerations",
    says="A DaemonSet's pod runs on a tainted node only if its template tolerates the taint, save for the"
    " tolerations that the controller adds itself.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs={*ON_NODES, DISRUPTION},
)  # fmt: skip
def test_taints_and_tolerations(repelled: Watched, story: Tell) -> None:
    def plain(now: Objects) -> list[str]:
        return nodes_of(each for each in now if controller_of(each) == uid_of(repelled.created))

    *untainted, tainted, last = repelled.nodes
    added = {
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/memory-pressure", "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/unschedulable",
    }  # fmt: skip
    told = story(repelled.seen.watched, f"{repelled.namespace}/plain")
    told.must(
        at_every_change(
            repelled.pods, f"no intolerant pod on {tainted}", lambda now: tainted not in plain(now),
            lambda now: f"pods on {plain(now)}",
        ),
        in_the_end(
            repelled.pods, "tolerant pods on all nodes, others on all but one",
            lambda now: nodes_of(now) == sorted([*repelled.nodes, *untainted, last]),
            lambda now: f"pods on {nodes_of(now)}",
        ),
        in_the_end(
            repelled.pods, f"tolerations of {sorted(added)} in every pod",
            lambda now: all(added <= {each.get("key") for each in pod["spec"]["tolerations"]} for pod in now),
            lambda now: str([pod["spec"]["tolerations"] for pod in now][:1]),
        ),
    )  # fmt: skip


@drive
def deleted(scene: Scene) -> Watched:
    """Two DaemonSets, of which one is deleted with its pods and the other without."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, manifests.daemon_set("orphaning", versioned("1")))
        scene.create(namespace, manifests.daemon_set("collecting", versioned("1")))
        seen.until(pods_are(namespace, all_ready(2 * len(scene.nodes))), what="the pods of both")
        scene.delete(f"{sets(namespace).path}/orphaning", propagation="Orphan")
        scene.delete(f"{sets(namespace).path}/collecting", propagation="Background")
        seen.until(
            pods_are(
                namespace, lambda now: len(now) == len(scene.nodes) and not any(map(controller_of, now))
            ),
            what="only orphans to be left",
        )
    return Watched(namespace, seen, made, scene.nodes)


@behaviour(
    "daemonsets/delete-removes-pods",
    says="Deleting a DaemonSet removes its pods, and deleting it with orphaning keeps them.",
    kind=Kind.REQUIRED, source=DAEMON_SETS, needs={CONTROLLERS},
)  # fmt: skip
def test_delete_removes_pods(deleted: Watched, story: Tell) -> None:
    def orphans(now: Objects) -> list[ApiObject]:
        return [each for each in staying(now) if metadata(each)["labels"]["app"] == "orphaning"]

    told = story(deleted.seen.watched, f"{deleted.namespace}/orphaning")
    told.must(
        in_the_end(
            deleted.pods, "the pods of the orphaning one alone",
            lambda now: {metadata(each)["labels"]["app"] for each in now} == {"orphaning"},
            lambda now: str([metadata(each)["name"] for each in now]),
        ),
        at_every_change(
            deleted.pods, "no orphan to end", lambda now: len(orphans(now)) == len(deleted.nodes),
            lambda now: str([metadata(each)["name"] for each in orphans(now)]),
            since=lambda now: len([each for each in now if node_of(each)]) == 2 * len(deleted.nodes),
        ),
    )  # fmt: skip
