"""Controllers keep the number of pods that they were given, and follow when it changes."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, uid_of
from kubewitness.checks.workloads import Moment, at_every_change, at_every_moment, in_the_end
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.rollouts.deployments import (
    NAME,
    REPLICAS,
    SELECTOR,
    Watched,
    all_ready,
    controllers,
    pods_are,
    ready_by_version,
    serving,
    slices,
    tell,
)
from suites.states import controller_of, ready, ready_endpoints, staying
from suites.versions import version, versioned

Tell = Callable[..., Story]
ONE, TWO = "one", "two"


@drive
def restored(scene: Scene) -> Watched:
    """A pod of a ReplicaSet, deleted by hand."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as seen:
        owner = scene.create(namespace, manifests.replica_set(NAME, REPLICAS, versioned("1")))
        seen.until(pods_are(namespace, all_ready(REPLICAS, "1")), what="all pods")
        doomed, *others = scene.request("GET", pods(namespace).path)["items"]
        scene.delete(pods(namespace).item(metadata(doomed)["name"]))
        filled = all_ready(REPLICAS, "1")
        seen.until(
            pods_are(namespace, lambda now: filled(now) and uid_of(doomed) not in map(uid_of, now)),
            what="the deleted pod to be replaced",
        )
    return Watched(namespace, seen, {"owner": owner, "doomed": doomed, "others": others})


@behaviour(
    "rollouts/replica-count-restored",
    says="A deleted pod of a ReplicaSet is replaced until the replica count is restored, and its other pods"
    " stay.",
    kind=Kind.REQUIRED, source=doc("concepts/workloads/controllers/replicaset"), needs={CONTROLLERS},
)  # fmt: skip
def test_replica_count_restored(restored: Watched, story: Tell) -> None:
    owner, doomed, others = (restored.found[each] for each in ("owner", "doomed", "others"))
    told = story(restored.seen.watched, restored.subject)
    told.must(
        in_the_end(
            restored.pods, f"{REPLICAS} ready pods of the ReplicaSet, without the deleted one",
            lambda now: [controller_of(each) for each in ready(now)] == [uid_of(owner)] * REPLICAS
            and uid_of(doomed) not in map(uid_of, now), tell,
        ),
        at_every_change(
            restored.pods, "the pods that nobody deleted, ready",
            lambda now: set(map(uid_of, others)) <= set(map(uid_of, ready(now))), tell,
            since=lambda now: len(ready(now)) == REPLICAS,
        ),
        at_every_change(
            restored.pods, f"no more than {REPLICAS} pods", lambda now: len(staying(now)) <= REPLICAS, tell,
        ),
    )  # fmt: skip


@drive
def stepwise(scene: Scene) -> Watched:
    """Two ReplicationControllers behind one Service: one more pod of the second, one less of the first."""
    namespace = scene.namespace()

    def scale(name: str, replicas: int) -> None:
        path = f"{controllers(namespace).item(name)}/scale"
        scene.patch(path, {"spec": {"replicas": replicas}})

    followed = slices(scene, namespace)
    with scene.recording(pods(namespace), followed) as seen:
        scene.create(namespace, manifests.service(NAME, SELECTOR))
        for_one, for_two = ({**SELECTOR, "version": each} for each in (ONE, TWO))
        scene.create(namespace, manifests.replication_controller(ONE, 3, for_one, versioned(ONE)))
        scene.create(namespace, manifests.replication_controller(TWO, 0, for_two, versioned(TWO)))
        seen.until(serving(followed, namespace, one=3), what="three pods of the first to serve")
        scale(TWO, 1)
        seen.until(serving(followed, namespace, one=3, two=1), what="one pod of the second to serve")
        scale(ONE, 2)
        seen.until(serving(followed, namespace, one=2, two=1), what="one pod of the first to go")
        scale(TWO, 2)
        seen.until(serving(followed, namespace, one=2, two=2), what="another pod of the second to serve")
        scale(ONE, 1)
        seen.until(serving(followed, namespace, one=1, two=2), what="another pod of the first to go")
        scale(TWO, 3)
        seen.until(serving(followed, namespace, one=1, two=3), what="the last pod of the second to serve")
        scale(ONE, 0)
        seen.until(serving(followed, namespace, two=3), what="the last pod of the first to go")
    return Watched(namespace, seen, slices=followed.path)


@behaviour(
    "rollouts/rc-replaces-one-by-one",
    says="Two ReplicationControllers scaled against each other replace an application pod by pod while its"
    " Service is never empty.",
    kind=Kind.REQUIRED, source=doc("concepts/workloads/controllers/replicationcontroller"),
    needs={CONTROLLERS},
)  # fmt: skip
def test_rc_replaces_one_by_one(stepwise: Watched, story: Tell) -> None:
    def serving_pods(now: Moment) -> set[str]:
        names = {str(metadata(each)["name"]) for each in ready(now.of(stepwise.pods))}
        return names & set(ready_endpoints(now.of(stepwise.slices)))

    def tell_both(now: Moment) -> str:
        return f"endpoints {ready_endpoints(now.of(stepwise.slices))}, pods {tell(now.of(stepwise.pods))}"

    told = story(stepwise.seen.watched, stepwise.subject)
    told.must(
        at_every_moment(
            (stepwise.slices, stepwise.pods), "a ready pod among the endpoints of the Service",
            lambda now: bool(serving_pods(now)), tell_both,
            since=lambda now: bool(serving_pods(now)),
        ),
        at_every_change(
            stepwise.pods, f"{REPLICAS} ready pods, and one more at most",
            lambda now: len(ready(now)) >= REPLICAS and len(staying(now)) <= REPLICAS + 1, tell,
            since=lambda now: len(ready(now)) == REPLICAS,
        ),
        in_the_end(
            stepwise.pods, f"{REPLICAS} pods of the second controller, none of the first",
            lambda now: ready_by_version(now) == {TWO: REPLICAS}
            and {version(each) for each in staying(now)} == {TWO}, tell,
        ),
    )  # fmt: skip
