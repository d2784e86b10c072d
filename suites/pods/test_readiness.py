"""When a pod is Ready."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.workloads import passes_through
from kubewitness.clusters.api import pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import condition, container, is_running
from suites.watching import Watched, events

Tell = Callable[..., Story]
NAME = "probed"
PORTS = {"main": 8080, "other": 8081}
REFUSED = "statuscode: 503"  # what the kubelet says of a probe that is answered so


def probed(name: str, port: int) -> manifests.Manifest:
    """A container that is ready when it is told to be. A slow answer is an answer all the same."""
    probe = manifests.ready_probe(port=port)["readinessProbe"] | {"timeoutSeconds": 30}
    unready = [{"name": "WITNESS_READY", "value": "false"}]
    return manifests.witness("serve", str(port), name=name, env=unready, readinessProbe=probe)


def ready_of(pod: ApiObject | None) -> list[str]:
    """What is ready: containers, by their probes, and the pod."""
    found = [name for name in PORTS if container(pod, name).get("ready")]
    return [*found, "pod"] if condition(pod, "Ready") == "True" else found


def answering(namespace: str) -> Callable[[State], bool]:
    """Both containers have answered a probe: one that runs need not listen yet."""

    def holds(state: State) -> bool:
        told = state[events(namespace).path].values()
        refused = {each["involvedObject"].get("fieldPath") for each in told if REFUSED in each["message"]}
        return {f"spec.containers{{{name}}}" for name in PORTS} <= refused

    return holds


@drive
def told_to_be(scene: Scene) -> Watched:
    """A pod whose two containers are told to be ready or not, and what its Ready condition becomes."""
    namespace = scene.namespace()

    def tell(container: str, *, ready: bool) -> None:
        scene.ask(namespace, f"{NAME}:{PORTS[container]}", "be", ready=str(ready).lower())

    def becomes(*wanted: str) -> Callable[[State], bool]:
        return lambda state: ready_of(state[pods(namespace).path].get(NAME)) == [*wanted]

    with scene.recording(pods(namespace), events(namespace)) as seen:
        spec = manifests.pod_spec(*(probed(name, port) for name, port in PORTS.items()))
        made = scene.create(namespace, manifests.pod(NAME, spec))
        seen.until(answering(namespace), what="a readiness probe to fail")
        seen.until(
            lambda state: is_running(state[pods(namespace).path].get(NAME)), what="the pod to be running"
        )
        tell("main", ready=True)
        seen.until(becomes("main"), what="one container alone to be ready")
        tell("other", ready=True)
        seen.until(becomes("main", "other", "pod"), what="the pod to be Ready")
        tell("main", ready=False)
        seen.until(becomes("other"), what="the pod to be Ready no more")
        tell("main", ready=True)
        seen.until(becomes("main", "other", "pod"), what="the pod to be Ready again")
    return Watched(namespace, seen, made)


@behaviour(
    "pods/probes-gate-readiness",
    says="A pod is Ready only while the readiness probes of all its containers succeed.",
    kind=Kind.REQUIRED, needs={CONTROLLERS},
    source=doc("tasks/configure-pod-container/configure-liveness-readiness-startup-probes"),
)  # fmt: skip
def test_probes_gate_readiness(told_to_be: Watched, story: Tell) -> None:
    told = story(told_to_be.seen.watched, told_to_be.subject)
    told.must(
        passes_through(
            told_to_be.pods, NAME, "what is ready", ready_of,
            [],  # both containers run, and say that they are not ready
            ["main"], ["main", "other", "pod"], ["other"], ["main", "other", "pod"],
        ),
    )  # fmt: skip
