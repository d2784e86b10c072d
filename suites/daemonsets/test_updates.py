"""How a changed template passes over a DaemonSet's pods."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, node_of, uid_of
from kubewitness.checks.workloads import Objects, at_every_change, equal, in_the_end
from kubewitness.clusters.api import Resource, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, TWO_NODES
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.daemonsets.sets import (
    NAME,
    Watched,
    all_ready,
    created,
    pods_are,
    rolled_out,
    sets,
)
from suites.states import nodes_of, ready, staying, waiting_reason
from suites.versions import to_version, version, versioned

Tell = Callable[..., Story]
UPDATES = doc("tasks/manage-daemon/update-daemon-set")
ON_NODES = {TWO_NODES, CONTROLLERS}
ABSENT = "kubewitness.example/absent:1"


def tell(now: Objects) -> str:
    """The pods by node, version and readiness."""
    return str([(node_of(each), version(each), len(ready([each]))) for each in now])


def begun(watched: Watched) -> Callable[[Objects], bool]:
    """From when all pods of the first version were ready on, there is an update to judge."""
    return lambda now: len(ready(now)) == len(watched.nodes)


@drive
def by_hand(scene: Scene) -> Watched:
    """A changed template under OnDelete, then one pod deleted."""
    namespace, complete = scene.namespace(), all_ready(len(scene.nodes))
    with scene.recording(pods(namespace), sets(namespace)) as seen:
        made = created(scene, seen, namespace, updateStrategy={"type": "OnDelete"})
        changed = scene.patch(f"{sets(namespace).path}/{NAME}", to_version("2"))
        generation = changed["metadata"]["generation"]
        seen.until(
            lambda state: state[sets(namespace).path][NAME]["status"]["observedGeneration"] == generation,
            what="the controller to have seen the change",
        )
        listed = scene.request("GET", pods(namespace).path)["items"]
        (doomed,) = [each for each in listed if node_of(each) == scene.nodes[-2]]
        scene.delete(pods(namespace).item(metadata(doomed)["name"]))
        seen.until(
            pods_are(namespace, lambda now: complete(now) and uid_of(doomed) not in map(uid_of, now)),
            what="the deleted pod to be replaced",
        )
    return Watched(namespace, seen, made, scene.nodes, doomed)


@behaviour(
    "daemonsets/on-delete-waits-for-deletion",
    says="Under the update strategy OnDelete a changed template alters no pod until the pod is deleted by"
    " hand.",
    kind=Kind.REQUIRED, source=UPDATES, needs={CONTROLLERS},
)  # fmt: skip
def test_on_delete_waits_for_deletion(by_hand: Watched, story: Tell) -> None:
    chosen = node_of(by_hand.found)
    others = {*by_hand.nodes} - {chosen}
    told = story(by_hand.seen.watched, f"{by_hand.namespace}/{NAME}")
    told.must(
        at_every_change(
            by_hand.pods, "the old version on the nodes whose pods nobody deleted",
            lambda now: others <= {node_of(each) for each in ready(now) if version(each) == "1"},
            tell, since=begun(by_hand),
        ),
        in_the_end(
            by_hand.pods, f"the new version on {chosen}",
            lambda now: [version(each) for each in now if node_of(each) == chosen] == ["2"], tell,
        ),
    )  # fmt: skip


@drive
def rolled(scene: Scene) -> Watched:
    """A rolling update with maxUnavailable 1, and back to the first revision."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace), sets(namespace)) as seen:
        made = created(scene, seen, namespace, updateStrategy=manifests.rolling(maxUnavailable=1))
        scene.patch(f"{sets(namespace).path}/{NAME}", to_version("2"))
        seen.until(rolled_out(namespace, "2", len(scene.nodes)), what="version 2 on every node")
        scene.kubectl("rollout", "undo", f"daemonset/{NAME}", "--to-revision=1", "-n", namespace)
        seen.until(rolled_out(namespace, "1", len(scene.nodes)), what="version 1 on every node again")
        revisions = scene.request(
            "GET", Resource(f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions").path
        )
    return Watched(namespace, seen, made, scene.nodes, revisions["items"])


@behaviour(
    "daemonsets/rolling-update-respects-max-unavailable",
    says="At every event of a rolling update no more of the DaemonSet's pods are unavailable than"
    " maxUnavailable allows.",
    kind=Kind.REQUIRED, source=UPDATES, needs=ON_NODES,
)  # fmt: skip
def test_rolling_update_respects_max_unavailable(rolled: Watched, story: Tell) -> None:
    told = story(rolled.seen.watched, f"{rolled.namespace}/{NAME}")
    told.must(
        at_every_change(
            rolled.pods, "pods ready on two of three nodes",
            lambda now: len(set(nodes_of(ready(now)))) >= len(rolled.nodes) - 1, tell, since=begun(rolled),
        ),
        at_every_change(
            rolled.pods, "no second pod for a node before the first is gone",
            lambda now: len(staying(now)) <= len(rolled.nodes), tell, since=begun(rolled),
        ),
    )  # fmt: skip


@behaviour(
    "daemonsets/rollback-restores-revision",
    says="Rolling a DaemonSet back restores the template of the chosen revision in all its pods.",
    kind=Kind.REQUIRED, source=doc("tasks/manage-daemon/rollback-daemon-set"), needs={CONTROLLERS},
)  # fmt: skip
def test_rollback_restores_revision(rolled: Watched, story: Tell) -> None:
    numbered = {each["revision"]: version({"spec": each["data"]["spec"]}) for each in rolled.found}
    told = story(rolled.seen.watched, f"{rolled.namespace}/{NAME}")
    told.must(
        in_the_end(
            rolled.pods, "version 1 on every node",
            lambda now: nodes_of(now) == [*rolled.nodes] and {version(each) for each in now} == {"1"}, tell,
        ),
        in_the_end(
            rolled.sets, "the first template in the DaemonSet",
            lambda now: [each["spec"]["template"]["spec"] for each in now]
            == [rolled.created["spec"]["template"]["spec"]], str,
        ),
        equal("revisions and their versions", {2: "2", 3: "1"}, numbered),
    )  # fmt: skip


@drive
def surging(scene: Scene) -> Watched:
    """A rolling update that may surge by one pod and may lose none."""
    namespace = scene.namespace()
    strategy = manifests.rolling(maxSurge=1, maxUnavailable=0)
    with scene.recording(pods(namespace), sets(namespace)) as seen:
        made = created(scene, seen, namespace, updateStrategy=strategy)
        scene.patch(f"{sets(namespace).path}/{NAME}", to_version("2"))
        seen.until(rolled_out(namespace, "2", len(scene.nodes)), what="version 2 on every node")
    return Watched(namespace, seen, made, scene.nodes)


@behaviour(
    "daemonsets/rolling-update-respects-max-surge",
    says="At every event of a rolling update no more nodes run a second pod of the DaemonSet than maxSurge"
    " allows.",
    kind=Kind.REQUIRED, source=UPDATES, needs=ON_NODES, since="1.22",
)  # fmt: skip
def test_rolling_update_respects_max_surge(surging: Watched, story: Tell) -> None:
    told = story(surging.seen.watched, f"{surging.namespace}/{NAME}")
    told.must(
        at_every_change(
            surging.pods, "at most one pod more than nodes",
            lambda now: len(staying(now)) <= len(surging.nodes) + 1, tell, since=begun(surging),
        ),
        at_every_change(
            surging.pods, "a ready pod on every node",
            lambda now: set(nodes_of(ready(now))) == set(surging.nodes), tell, since=begun(surging),
        ),
    )  # fmt: skip


@drive
def stuck(scene: Scene) -> Watched:
    """A rolling update to an image that no node has, and a way out of it."""
    namespace = scene.namespace()
    path = f"{sets(namespace).path}/{NAME}"
    with scene.recording(pods(namespace), sets(namespace)) as seen:
        made = created(scene, seen, namespace, updateStrategy=manifests.rolling(maxUnavailable=1))
        scene.patch(path, {"spec": {"template": {"spec": versioned("2", image=ABSENT)}}})
        seen.until(
            pods_are(namespace, lambda now: "ErrImageNeverPull" in map(waiting_reason, now)),
            what="a pod to lack its image",
        )
        scene.patch(path, {"spec": {"template": {"spec": versioned("3")}}})
        seen.until(rolled_out(namespace, "3", len(scene.nodes)), what="version 3 on every node")
    return Watched(namespace, seen, made, scene.nodes)


@behaviour(
    "daemonsets/rolling-update-waits-for-ready",
    says="A rolling update of a DaemonSet to an image that cannot start stops instead of replacing further"
    " pods.",
    kind=Kind.REQUIRED, source=UPDATES, needs=ON_NODES,
)  # fmt: skip
def test_rolling_update_waits_for_ready(stuck: Watched, story: Tell) -> None:
    told = story(stuck.seen.watched, f"{stuck.namespace}/{NAME}")
    told.must(
        at_every_change(
            stuck.pods, "at most one pod of the version that cannot start",
            lambda now: len([each for each in now if version(each) == "2"]) <= 1, tell,
        ),
        at_every_change(
            stuck.pods, "pods ready on two of three nodes",
            lambda now: len(set(nodes_of(ready(now)))) >= len(stuck.nodes) - 1, tell, since=begun(stuck),
        ),
    )  # fmt: skip
