"""A Deployment replaces its pods as its strategy says."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.rollouts import counted_when_ready_for, created_as_wanted, ends_when_ready_for
from kubewitness.checks.selecting import metadata, uid_of
from kubewitness.checks.workloads import (
    Moment,
    Objects,
    at_every_change,
    at_every_moment,
    in_the_end,
    reached,
)
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.rollouts.deployments import (
    FEW,
    NAME,
    REPLICAS,
    Watched,
    all_ready,
    deployments,
    has_observed,
    replica_sets,
    rolled_out,
    tell,
)
from suites.states import controller_of, has_ended, ready
from suites.versions import server, to_version, version, versioned

Tell = Callable[..., Story]
DEPLOYMENTS = doc("concepts/workloads/controllers/deployment")
READY_S = 3
LINGER_S = 1
OTHER = {"name": "SECOND_CHANGE", "value": "made"}


@drive
def rolled(scene: Scene) -> Watched:
    """To version 2 with no pod more than wanted, and back to version 1 with none less."""
    namespace = scene.namespace()
    path = deployments(namespace).item(NAME)
    none_more, none_less = {"maxUnavailable": 1, "maxSurge": 0}, {"maxUnavailable": 0, "maxSurge": 1}
    with scene.recording(pods(namespace), deployments(namespace), replica_sets(namespace)) as seen:
        made = scene.create(
            namespace,
            manifests.deployment(NAME, REPLICAS, versioned("1"), strategy=manifests.rolling(**none_more)),
        )
        seen.until(rolled_out(namespace, "1", REPLICAS), what="version 1")
        (first,) = scene.request("GET", replica_sets(namespace).path)["items"]
        scene.patch(path, to_version("2"))
        seen.until(rolled_out(namespace, "2", REPLICAS), what="version 2")
        scene.patch(path, {"spec": {"strategy": manifests.rolling(**none_less)}})
        scene.kubectl("rollout", "undo", f"deployment/{NAME}", "--to-revision=1", "-n", namespace)
        seen.until(rolled_out(namespace, "1", REPLICAS), what="version 1 again")
    return Watched(namespace, seen, {"made": made, "first": first})


@behaviour(
    "rollouts/deployment-respects-max-unavailable-and-surge",
    says="At every event of a rolling update a Deployment has no more pods unavailable than maxUnavailable"
    " allows, and wants no more pods of its ReplicaSets than maxSurge allows.",
    kind=Kind.REQUIRED, source=DEPLOYMENTS, needs={CONTROLLERS},
)  # fmt: skip
def test_deployment_respects_max_unavailable_and_surge(rolled: Watched, story: Tell) -> None:
    def limit(now: Moment, name: str) -> int:
        (deployment,) = now.of(rolled.deployments)
        return int(deployment["spec"]["strategy"]["rollingUpdate"][name])

    def wanted(now: Moment) -> list[int]:
        return [each["spec"]["replicas"] for each in now.of(rolled.replica_sets)]

    told = story(rolled.seen.watched, rolled.subject)
    told.must(
        at_every_moment(
            (rolled.deployments, rolled.pods), f"no more than maxUnavailable of {REPLICAS} pods unavailable",
            lambda now: len(ready(now.of(rolled.pods))) >= REPLICAS - limit(now, "maxUnavailable"),
            lambda now: f"maxUnavailable {limit(now, 'maxUnavailable')} and {tell(now.of(rolled.pods))}",
            since=lambda now: len(ready(now.of(rolled.pods))) == REPLICAS,
        ),
        # Of pods there may be more for a moment: a ReplicaSet that is to create one may be faster than one
        # that is to delete one, although it was told later.
        at_every_moment(
            (rolled.deployments, rolled.replica_sets), f"no more than maxSurge pods wanted above {REPLICAS}",
            lambda now: sum(wanted(now)) <= REPLICAS + limit(now, "maxSurge"),
            lambda now: f"maxSurge {limit(now, 'maxSurge')} and {wanted(now)} pods wanted",
        ),
        created_as_wanted(rolled.replica_sets, rolled.pods),
        reached(rolled.pods, "version 2 in all pods", all_ready(REPLICAS, "2"), tell),
    )  # fmt: skip


@behaviour(
    "rollouts/rollback",
    says="Rolling a Deployment back restores the pod template of the chosen revision, and nothing else of the"
    " Deployment, by the ReplicaSet which that revision had.",
    kind=Kind.REQUIRED, source=DEPLOYMENTS, needs={CONTROLLERS},
)  # fmt: skip
def test_rollback(rolled: Watched, story: Tell) -> None:
    made, first = rolled.found["made"], rolled.found["first"]
    told = story(rolled.seen.watched, rolled.subject)
    told.must(
        in_the_end(
            rolled.deployments, "the template of revision 1 with the strategy that was set since",
            lambda now: [each["spec"]["template"] for each in now] == [made["spec"]["template"]]
            and [each["spec"]["strategy"]["rollingUpdate"]["maxSurge"] for each in now] == [1], str,
        ),
        in_the_end(
            rolled.pods, f"{REPLICAS} pods of the ReplicaSet of revision 1, uid {uid_of(first)}",
            lambda now: [controller_of(each) for each in now] == [uid_of(first)] * REPLICAS,
            lambda now: f"pods of {[controller_of(each) for each in now]}",
        ),
        at_every_change(
            rolled.replica_sets, "one ReplicaSet for each of two templates",
            lambda now: len(now) <= 2, lambda now: str([metadata(each)["name"] for each in now]),
        ),
    )  # fmt: skip


@drive
def paused(scene: Scene) -> Watched:
    """Two changes of the template while the Deployment is paused; then it is resumed."""
    namespace = scene.namespace()
    path = deployments(namespace).item(NAME)
    with scene.recording(pods(namespace), deployments(namespace), replica_sets(namespace)) as seen:
        scene.create(namespace, manifests.deployment(NAME, FEW, versioned("1")))
        seen.until(rolled_out(namespace, "1", FEW), what="version 1")
        scene.kubectl("rollout", "pause", f"deployment/{NAME}", "-n", namespace)
        scene.patch(path, to_version("2"))
        changed = scene.patch(path, manifests.with_environment(OTHER["name"], OTHER["value"]))
        seen.until(
            lambda state: (
                state[deployments(namespace).path][NAME]["status"]["observedGeneration"]
                >= changed["metadata"]["generation"]
            ),
            what="the controller to have seen both changes",
        )
        scene.kubectl("rollout", "resume", f"deployment/{NAME}", "-n", namespace)
        seen.until(rolled_out(namespace, "2", FEW), what="version 2")
    return Watched(namespace, seen)


def is_paused(deployment: ApiObject) -> bool:
    return bool(deployment["spec"].get("paused"))


def has_both_changes(obj: ApiObject) -> bool:
    return manifests.environment(obj) == {"VERSION": "2", OTHER["name"]: OTHER["value"]}


def revisions(replica_sets: Objects) -> dict[str, dict[str, str]]:
    """The environment of the containers in each revision."""
    key = "deployment.kubernetes.io/revision"
    return {metadata(each)["annotations"][key]: manifests.environment(each) for each in replica_sets}


@behaviour(
    "rollouts/pause-and-resume",
    says="A paused Deployment does not roll out changes of its template, and rolls out all of them together"
    " when it is resumed.",
    kind=Kind.REQUIRED, source=DEPLOYMENTS, needs={CONTROLLERS},
)  # fmt: skip
def test_pause_and_resume(paused: Watched, story: Tell) -> None:
    def pauses(now: Moment) -> bool:
        return any(map(is_paused, now.of(paused.deployments)))

    def is_untouched(now: Moment) -> bool:
        versions = {version(each) for each in now.of(paused.pods)}
        return len(now.of(paused.replica_sets)) == 1 and versions == {"1"}

    told = story(paused.seen.watched, paused.subject)
    told.must(
        at_every_moment(
            (paused.deployments, paused.replica_sets, paused.pods),
            "one ReplicaSet and pods of version 1 alone while the Deployment is paused",
            lambda now: is_untouched(now) or not pauses(now),
            lambda now: f"{len(now.of(paused.replica_sets))} ReplicaSets and {tell(now.of(paused.pods))}",
            since=pauses,
        ),
        reached(  # else nothing was held back
            paused.deployments, "both changes known to the controller while the Deployment is paused",
            lambda now: any(
                is_paused(each) and has_both_changes(each) and has_observed(each) for each in now
            ), str,
        ),
        in_the_end(
            paused.replica_sets, "one revision more, with both changes",
            lambda now: sorted(revisions(now)) == ["1", "2"]
            and [has_both_changes(each) for each in now if version(each) != "1"] == [True],
            lambda now: str(revisions(now)),
        ),
        in_the_end(
            paused.pods, "both changes in all pods",
            lambda now: bool(now) and all(map(has_both_changes, now)),
            lambda now: str([manifests.environment(each) for each in now]),
        ),
    )  # fmt: skip


@drive
def unhurried(scene: Scene) -> Watched:
    """A rolling update, one pod after the other, with minReadySeconds."""
    namespace = scene.namespace()
    strategy = manifests.rolling(maxUnavailable=0, maxSurge=1)
    with scene.recording(pods(namespace), deployments(namespace), replica_sets(namespace)) as seen:
        scene.create(
            namespace,
            manifests.deployment(NAME, FEW, versioned("1"), minReadySeconds=READY_S, strategy=strategy),
        )
        seen.until(rolled_out(namespace, "1", FEW), what="version 1")
        scene.patch(deployments(namespace).item(NAME), to_version("2"))
        seen.until(rolled_out(namespace, "2", FEW), what="version 2")
    return Watched(namespace, seen)


@behaviour(
    "rollouts/min-ready-seconds",
    says="A new pod counts as available, and the rollout goes on, only after it was ready for"
    " minReadySeconds.",
    kind=Kind.REQUIRED, source=DEPLOYMENTS, needs={CONTROLLERS},
)  # fmt: skip
def test_min_ready_seconds(unhurried: Watched, story: Tell) -> None:
    told = story(unhurried.seen.watched, unhurried.subject)
    told.must(
        counted_when_ready_for(READY_S, unhurried.replica_sets, unhurried.pods),
        ends_when_ready_for(
            READY_S, unhurried.pods, old=lambda pod: version(pod) == "1", new=lambda pod: version(pod) == "2"
        ),
    )


@drive
def recreated(scene: Scene) -> Watched:
    """An update with the strategy Recreate, of pods that take their time to end."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace), deployments(namespace)) as seen:
        scene.create(
            namespace,
            manifests.deployment(NAME, FEW, server("1", LINGER_S), strategy={"type": "Recreate"}),
        )
        seen.until(rolled_out(namespace, "1", FEW), what="version 1")
        scene.patch(deployments(namespace).item(NAME), to_version("2"))
        seen.until(rolled_out(namespace, "2", FEW), what="version 2")
    return Watched(namespace, seen)


@behaviour(
    "rollouts/recreate-strategy",
    says="Under the strategy Recreate no new pod is created before all old pods have terminated.",
    kind=Kind.REQUIRED, source=DEPLOYMENTS, needs={CONTROLLERS},
)  # fmt: skip
def test_recreate_strategy(recreated: Watched, story: Tell) -> None:
    def alive(now: Objects) -> set[str]:
        # The kubelet says that the containers have ended before it lets the object go.
        return {version(each) for each in now if not has_ended(each)}

    told = story(recreated.seen.watched, recreated.subject)
    told.must(
        at_every_change(
            recreated.pods, "no new pod beside an old one that has not terminated",
            lambda now: len(alive(now)) <= 1, tell,
        ),
        reached(recreated.pods, "version 1 in all pods", all_ready(FEW, "1"), tell),
        in_the_end(recreated.pods, "version 2 in all pods", all_ready(FEW, "2"), tell),
    )  # fmt: skip
