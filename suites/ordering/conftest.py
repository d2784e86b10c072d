"""One pod's whole life, recorded once for all behaviours that only look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.stage import Stage
from kubewitness.checks.selecting import delivery, known_stored, pod_key, request, stored
from kubewitness.clusters.api import nodes, pods
from kubewitness.model.history import History
from kubewitness.model.observation import Observation
from kubewitness.reporting.story import Story
from suites.ordering.pods import failed_for_good, pause_pod
from suites.states import is_bound, is_gone, is_running

START_S = 60.0


@dataclass(frozen=True)
class Life:
    """A pod from ``kubectl create`` to its disappearance."""

    namespace: str
    name: str
    uid: str
    node: dict[str, Any]
    history: History
    from_the_start: History


@dataclass(frozen=True)
class LifeStory:
    """A test's own story of that life, with the links that most statements are about."""

    life: Life
    story: Story

    @property
    def key(self) -> str:
        return pod_key(self.life.namespace, self.life.name)

    def posted(self) -> Observation:
        return self.story.first("posted", self.request("POST", "pods", "kubectl"))

    def created(self) -> Observation:
        return self.story.first("stored", known_stored(self.key, lambda pod: not is_bound(pod), "unbound"))

    def create_answered(self) -> Observation:
        return self.story.first("Txn answered", stored(self.key, lambda pod: not is_bound(pod), "unbound"))

    def delivered(self) -> Observation:
        selector = delivery(
            self.life.uid,
            kind="ADDED",
            to="kube-scheduler",
            where=lambda pod: not is_bound(pod),
            that="unbound",
        )
        return self.story.first("delivered to the scheduler", selector)

    def bound(self) -> Observation:
        return self.story.one("bound", self.request("POST", "pods/binding", "kube-scheduler"))

    def binding_stored(self) -> Observation:
        return self.story.first("binding stored", known_stored(self.key, is_bound, "with a nodeName"))

    def binding_answered(self) -> Observation:
        return self.story.first("binding's Txn answered", stored(self.key, is_bound, "with a nodeName"))

    def delivered_to_kubelet(self) -> Observation:
        return self.story.first(
            "delivered to the kubelet", delivery(self.life.uid, kind="ADDED", to="kubelet")
        )

    def status_patched(self) -> Observation:
        return self.story.first("status patched", self.request("PATCH", "pods/status", "kubelet"))

    def request(self, method: str, resource: str, by: str = "") -> Any:
        return request(method, resource, self.life.namespace, self.life.name, by)


@pytest.fixture(scope="module")
def untainted(stage: Stage) -> Stage:
    """The cluster with nothing that keeps pods off its nodes, and a scheduler that has bound a pod.

    Without controllers the not-ready taint stays until it is removed. A
    scheduler that has just been started may not watch yet.
    """
    scene = stage.scene("untainted")
    scene.taint(scene.nodes[0], [])
    namespace = scene.namespace()
    scene.request("POST", pods(namespace).path, pause_pod(namespace, "first"))
    scene.wait(pods(namespace), "first", is_bound, what="first to be bound", within_s=START_S)
    return stage


@pytest.fixture(scope="module")
def life(untainted: Stage) -> Life:
    scene = untainted.scene("pod life")
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as recording:
        scene.kubectl("create", "-f", "-", stdin=pause_pod(namespace, "solo"))
        pod = scene.wait(
            pods(namespace),
            "solo",
            is_running,
            what="solo to run",
            within_s=START_S,
            hopeless=failed_for_good,
        )
        node = scene.request("GET", nodes().item(pod["spec"]["nodeName"]))
        scene.kubectl("delete", "pod", "solo", "-n", namespace, "--wait=false")
        scene.wait(pods(namespace), "solo", is_gone, what="solo to be gone", within_s=START_S)
    return Life(namespace, "solo", pod["metadata"]["uid"], node, recording.history, recording.from_the_start)


@pytest.fixture
def solo(life: Life, story: Callable[..., Story]) -> LifeStory:
    return LifeStory(life, story(life.history, f"{life.namespace}/{life.name}"))
