"""Pods that take the place of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, node_of, uid_of
from kubewitness.checks.workloads import Check, Objects, at_every_change, equal, in_the_end, reached
from kubewitness.clusters.api import nodes, pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import ARTICLE, Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION, TWO_NODES
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import addresses, app, container, is_ready, nodes_of, ready, termination
from suites.watching import Watched, all_ready, gone, named

Tell = Callable[..., Story]
OWNED, BARE = "owned", "bare"


def serving(**fields: Any) -> manifests.Manifest:
    return manifests.pod_spec(manifests.witness(**manifests.ready_probe()), **fields)


@drive
def recreated(scene: Scene) -> Watched:
    """A Deployment's pod that is deleted, and a bare one that is made anew on its node, under its name."""
    namespace = scene.namespace()

    def owned(state: State) -> list[ApiObject]:
        return [each for each in state[pods(namespace).path].values() if app(each) == OWNED]

    with scene.recording(pods(namespace)) as seen:
        scene.create(namespace, manifests.deployment(OWNED, 1, serving()))
        made = scene.create(namespace, manifests.pod(BARE, serving()))
        seen.until(
            lambda state: len(ready(owned(state))) == 1 and all_ready(namespace, BARE)(state),
            what="both pods to be ready",
        )
        listed = scene.request("GET", pods(namespace).path)["items"]
        (doomed,) = [each for each in listed if app(each) == OWNED]
        for name in (metadata(doomed)["name"], BARE):
            scene.delete(pods(namespace).item(name))
        seen.until(gone(pods(namespace).path, metadata(doomed)["name"], BARE), what="both to be gone")
        scene.create(namespace, manifests.pod(BARE, serving(nodeName=node_of(named(listed, BARE)))))
        seen.until(
            lambda state: len(ready(owned(state))) == 1 and all_ready(namespace, BARE)(state),
            what="both to have successors that are ready",
        )
    return Watched(namespace, seen, made)


@behaviour(
    "pods/ip-changes-on-recreation",
    says="A pod that replaces a deleted one gets another address.",
    kind=Kind.OBSERVED, source=ARTICLE, needs={CONTROLLERS},
)  # fmt: skip
def test_ip_changes_on_recreation(recreated: Watched, story: Tell) -> None:
    found = {
        uid_of(each.object): (app(each.object) or BARE, node_of(each.object), *addresses(each.object))
        for each in recreated.seen.watched.changes
        if is_ready(each.object)
    }
    owned, bare = ([each for each in found.values() if each[0] == kind] for kind in (OWNED, BARE))
    told = story(recreated.seen.watched, recreated.subject)
    told.must(
        equal("pods of the Deployment, one after the other", 2, len(owned)),
        equal("addresses that these had", 2, len({each[2:] for each in owned})),
        equal("bare pods, one after the other", 2, len(bare)),
        equal("nodes that these were on", 1, len({each[1] for each in bare})),
        equal("addresses that these had", 2, len({each[2:] for each in bare})),
    )  # fmt: skip


#: A pod leaves a node as soon as its silence is noticed, 40 to 50 s after its last heartbeat. With one that
#: says that it is not ready, as each does when it joins, a pod has the usual patience.
SOON = {
    "key": "node.kubernetes.io/unreachable",
    "operator": "Exists",
    "effect": "NoExecute",
    "tolerationSeconds": 1,
}
REPLACED_S = 240.0
#: What becomes of a node: its power is lost, or it stands still for a while.
FATES = ("lost", "halted")


def choosing(label: str, taint: manifests.Manifest) -> manifests.Manifest:
    """A pod for nodes with a label, of which there may be more later."""
    return serving(nodeSelector={label: "yes"}, tolerations=[{**taint, "operator": "Equal"}, SOON])


def bare_on(fate: str) -> str:
    return f"{BARE}-{fate}"


@drive
def bereaved(scene: Scene) -> Watched:
    """Two nodes, each with a Deployment's pod and a bare one. One loses its power, one is paused a while."""
    namespace = scene.namespace()
    # They keep away the pods of others, and from each node those of the other one, too: of two silent nodes
    # the loss of one is noticed first, and its pods would go to the other, where nothing runs any more.
    taints = {
        fate: {"key": f"kubewitness/{namespace}", "value": fate, "effect": "NoSchedule"} for fate in FATES
    }
    labels = {fate: f"kubewitness/{namespace}-{fate}" for fate in FATES}

    def owned(state: State, fate: str) -> list[ApiObject]:
        return [each for each in ready(state[pods(namespace).path].values()) if app(each) == fate]

    def replaced(state: State) -> bool:
        return all(
            node_of(each) not in homes.values() for fate in FATES for each in owned(state, fate)
        ) and all(owned(state, fate) for fate in FATES)

    homes = {fate: scene.add_node(taints[fate]) for fate in FATES}
    for fate, node in homes.items():
        scene.patch(*manifests.labelled(node, labels[fate], "yes"))
    with scene.recording(pods(namespace)) as seen:
        for fate in FATES:
            scene.create(namespace, manifests.deployment(fate, 1, choosing(labels[fate], taints[fate])))
            scene.create(namespace, manifests.pod(bare_on(fate), choosing(labels[fate], taints[fate])))
        seen.until(
            lambda state: len(ready(state[pods(namespace).path].values())) == 2 * len(FATES),
            what="a Deployment's pod and a bare one on each node",
        )
        first = scene.request("GET", pods(namespace).path)["items"]
        made = named(first, bare_on("lost"))
        others = [(node, label) for node in scene.nodes for label in labels.values()]
        for node, label in others:  # from now on each pod may be elsewhere
            scene.patch(*manifests.labelled(node, label, "yes"))
        scene.power_off(homes["lost"])
        scene.pause_node(homes["halted"])
        seen.until(replaced, what="the Deployments' pods elsewhere", within_s=REPLACED_S)
        scene.resume_node(homes["halted"])
        ended = [metadata(each)["name"] for each in first if node_of(each) == homes["halted"]]
        seen.until(gone(pods(namespace).path, *ended), what="the old pods of the resumed node to be gone")
    for node, label in others:
        scene.patch(*manifests.labelled(node, label, None))
    scene.remove_node(homes["halted"])
    scene.delete(nodes().item(homes["lost"]))
    return Watched(namespace, seen, made, {"first": first, "homes": homes})


def ended_by_itself(collection: str, uid: str, tell: Callable[[Objects], str]) -> Check:
    """The container of a pod did as it was told."""

    def holds(now: Objects) -> bool:
        ends = [termination(container(each, "main")) for each in now if uid_of(each) == uid]
        return any(each.get("exitCode") == 0 for each in ends)

    return reached(collection, f"pod {uid} to be ended by the node that came back", holds, tell)


@behaviour(
    "pods/replaced-after-node-loss",
    says="When a node is lost, a controller's pod comes back on another node under a new uid and a bare pod"
    " does not, and a node that comes back ends the pods that were replaced.",
    # Before, a kubelet may forget how a deleted pod's containers ended, and call them yet to be created
    # (kubernetes/kubernetes#70644, mended by #102344): nothing then tells that it was their node that did it.
    kind=Kind.REQUIRED, source=doc("concepts/workloads/pods/pod-lifecycle"), since="1.22",
    needs={TWO_NODES, CONTROLLERS, DISRUPTION},
)  # fmt: skip
def test_replaced_after_node_loss(bereaved: Watched, story: Tell) -> None:
    first, homes = bereaved.told["first"], bereaved.told["homes"]
    old = {fate: {uid_of(each) for each in first if node_of(each) == node} for fate, node in homes.items()}
    bare = {bare_on(fate) for fate in FATES}

    def successors(now: Objects) -> Objects:
        return [each for each in now if uid_of(each) not in old["lost"] | old["halted"]]

    def remaining(now: Objects, fate: str) -> Objects:
        return [each for each in now if uid_of(each) in old[fate]]

    def tell(now: Objects) -> str:
        return str([(metadata(each)["name"], node_of(each), is_ready(each)) for each in now])

    told = story(bereaved.seen.watched, bereaved.subject)
    told.must(
        equal("old pods on each node", dict.fromkeys(FATES, 2), {fate: len(old[fate]) for fate in FATES}),
        # Not in the end: a pod that is ready may be unready again for a while, on a busy host.
        reached(
            bereaved.pods, "a ready pod of each Deployment in the place of the old ones",
            lambda now: sorted(map(app, ready(successors(now)))) == sorted(FATES), tell,
        ),
        in_the_end(
            bereaved.pods, "one pod of each Deployment elsewhere, and no old one that is not to end",
            lambda now: sorted(map(app, successors(now))) == sorted(FATES)
            and not ready(remaining(now, "lost"))
            and not {*homes.values()} & {*nodes_of(successors(now))}, tell,
        ),
        at_every_change(
            bereaved.pods, "no second pod in the place of a bare one",
            lambda now: not bare & {metadata(each)["name"] for each in successors(now)}, tell,
            since=lambda now: bool(successors(now)),
        ),
        in_the_end(
            bereaved.pods, "none of the old pods of the node that came back",
            lambda now: not remaining(now, "halted"), tell,
        ),
        *(ended_by_itself(bereaved.pods, uid, tell) for uid in sorted(old["halted"])),
    )  # fmt: skip
