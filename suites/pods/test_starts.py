"""In which order the containers of a pod start, and which are started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata
from kubewitness.checks.volumes import has_started
from kubewitness.checks.workloads import Objects, at_every_change, equal, in_the_end
from kubewitness.clusters.api import pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.manifests import Manifest
from suites.states import container, has_ended, phase, restarts, termination
from suites.watching import Watched, all_ready, named

Tell = Callable[..., Story]
LIFECYCLE = doc("concepts/workloads/pods/pod-lifecycle")
#: How often what is to be started again is awaited to have been, so that the others had the time for it.
TIMES = 2
#: The second restart of a container waits for 10 s; some versions wait longer.
RESTARTED_S = 120.0

#: Pods' restart policies, the status that their container ends with, and their own end, where it is one.
POLICIES = {
    "always-0": ("Always", 0, ""),
    "always-3": ("Always", 3, ""),
    "on-failure-0": ("OnFailure", 0, "Succeeded"),
    "on-failure-3": ("OnFailure", 3, ""),
    "never-0": ("Never", 0, "Succeeded"),
    "never-3": ("Never", 3, "Failed"),
}
AGAIN = tuple(name for name, (_, _, end) in POLICIES.items() if not end)


def restarted(pod: ApiObject | None) -> int:
    return restarts(pod).get("main", 0)


@drive
def ending(scene: Scene) -> Watched:
    """Containers that end well or badly, under each restart policy."""
    namespace = scene.namespace()

    def settled(state: State) -> bool:
        found = state[pods(namespace).path]
        return all(
            restarted(found.get(name)) >= TIMES if name in AGAIN else has_ended(found.get(name))
            for name in POLICIES
        )

    with scene.recording(pods(namespace)) as seen:
        made = [
            scene.create(
                namespace,
                manifests.pod(
                    name, manifests.pod_spec(manifests.witness("exit", str(code)), restartPolicy=policy)
                ),
            )
            for name, (policy, code, _) in POLICIES.items()
        ]
        seen.until(settled, what="each to have ended, or to be started again", within_s=RESTARTED_S)
    for name in AGAIN:
        scene.delete(pods(namespace).item(name))
    return Watched(namespace, seen, made[0])


@behaviour(
    "pods/restart-policy-honoured",
    says="A container that ends is started again under Always, only after a failure under OnFailure, and not"
    " under Never.",
    kind=Kind.REQUIRED, source=LIFECYCLE, needs={CONTROLLERS},
)  # fmt: skip
def test_restart_policy_honoured(ending: Watched, story: Tell) -> None:
    def tell(now: Objects) -> str:
        return str({metadata(each)["name"]: (restarted(each), phase(each)) for each in now})

    def codes(pod: ApiObject) -> set[int]:
        """Those that the container, now or before, ended with."""
        status = container(pod, "main")
        ended = (status.get(each, {}).get("terminated") for each in ("state", "lastState"))
        return {each["exitCode"] for each in ended if each}

    told = story(ending.seen.watched, ending.subject)
    told.must(
        at_every_change(
            ending.pods, "no restart of what is not to be started again",
            lambda now: not any(restarted(each) for each in now if metadata(each)["name"] not in AGAIN), tell,
        ),
        in_the_end(
            ending.pods, f"{AGAIN} started again",
            lambda now: all(restarted(named(now, name)) >= TIMES for name in AGAIN), tell,
        ),
        in_the_end(
            ending.pods, "the others at their end, and only these",
            lambda now: all(
                (phase(named(now, name)) == end) if end else not has_ended(named(now, name))
                for name, (_, _, end) in POLICIES.items()
            ), tell,
        ),
        in_the_end(
            ending.pods, "each to have ended with its status",
            lambda now: all(codes(named(now, name)) == {code} for name, (_, code, _) in POLICIES.items()),
            lambda now: str({metadata(each)["name"]: codes(each) for each in now}),
        ),
    )  # fmt: skip


ORDER = "/order/words"
SEQUENCE = ("first", "second", "main")


def initialised(name: str, *first: str, **fields: Any) -> Manifest:
    """A pod whose containers write down their names in turn, but the first of all does ``first`` if given."""
    shared: Manifest = {"volumeMounts": [{"name": "order", "mountPath": "/order"}]}
    spec = manifests.pod_spec(
        manifests.witness(**shared, **manifests.ready_probe()),
        initContainers=[
            manifests.witness(*(first or ("append", ORDER, "first")), name="first", **shared),
            manifests.witness("append", ORDER, "second", name="second", **shared),
        ],
        volumes=[{"name": "order", "emptyDir": {}}],
        **fields,
    )
    return manifests.pod(name, spec)


@drive
def begun(scene: Scene) -> Watched:
    """Pods with two init containers each: of one they succeed, of two the first fails."""
    namespace = scene.namespace()
    told = {}

    def settled(state: State) -> bool:
        found = state[pods(namespace).path]
        tried = container(found.get("trying"), "first").get("restartCount", 0)
        return bool(tried >= TIMES and has_ended(found.get("failed")))

    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, initialised("ordered"))
        scene.create(namespace, initialised("trying", "exit", "3"))
        scene.create(namespace, initialised("failed", "exit", "3", restartPolicy="Never"))
        seen.until(all_ready(namespace, "ordered"), what="the first to be ready")
        told["order"] = scene.ask(namespace, "ordered", "file", path=ORDER)
        seen.until(settled, what="the others to have failed", within_s=RESTARTED_S)
    scene.delete(pods(namespace).item("trying"))
    return Watched(namespace, seen, made, told)


def progress(pod: ApiObject) -> list[str]:
    """What each container of a pod has come to: waiting, started, failed or succeeded."""

    def of(status: ApiObject) -> str:
        if ended := termination(status):
            return "failed" if ended["exitCode"] else "succeeded"
        return "started" if status.get("state", {}).get("running") or status.get("lastState") else "waiting"

    return [of(container(pod, name)) for name in SEQUENCE]


def in_order(pod: ApiObject) -> bool:
    """Every container before one that has started has succeeded."""
    found = progress(pod)
    begun = [at for at, each in enumerate(found) if each != "waiting"]
    return not begun or set(found[: begun[-1]]) <= {"succeeded"}


@behaviour(
    "pods/init-containers-run-in-order",
    says="Init containers run one after another, each to success, before any other container of the pod"
    " starts.",
    kind=Kind.REQUIRED, source=doc("concepts/workloads/pods/init-containers"), needs={CONTROLLERS},
)  # fmt: skip
def test_init_containers_run_in_order(begun: Watched, story: Tell) -> None:
    def tell(now: Objects) -> str:
        return str({metadata(each)["name"]: progress(each) for each in now})

    told = story(begun.seen.watched, begun.subject)
    told.must(
        equal("what the containers wrote", "first\nsecond\n", begun.told["order"].get("content")),
        at_every_change(
            begun.pods, "no container to start before all others before it have succeeded",
            lambda now: all(map(in_order, now)), tell,
        ),
        in_the_end(
            begun.pods, "all containers of one pod to have come to their turn",
            lambda now: progress(named(now, "ordered")) == ["succeeded", "succeeded", "started"], tell,
        ),
        in_the_end(
            begun.pods, "none after the failed one, which is tried again unless the pod's policy is Never",
            lambda now: phase(named(now, "failed")) == "Failed"
            and phase(named(now, "trying")) == "Pending"
            and container(named(now, "trying"), "first").get("restartCount", 0) >= TIMES
            and not any(has_started(named(now, name)) for name in ("trying", "failed")), tell,
        ),
    )  # fmt: skip
