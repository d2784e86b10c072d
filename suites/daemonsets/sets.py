"""DaemonSets that are created, and what is awaited of their pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fixtures.stage import Recording, Scene
from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import Objects
from kubewitness.clusters.api import Resource, pods
from kubewitness.clusters.following import State
from kubewitness.model.observation import ApiObject
from suites import manifests
from suites.states import is_ready
from suites.versions import version, versioned

NAME = "every"


@dataclass(frozen=True)
class Watched:
    """A namespace with one DaemonSet and its pods, and what its watches delivered."""

    namespace: str
    seen: Recording
    created: ApiObject
    nodes: tuple[str, ...]
    found: Any = None  # what else the drive found out

    @property
    def pods(self) -> str:
        return pods(self.namespace).path

    @property
    def sets(self) -> str:
        return sets(self.namespace).path


def sets(namespace: str) -> Resource:
    return Resource(f"/apis/apps/v1/namespaces/{namespace}/daemonsets")


def pods_are(namespace: str, holds: Callable[[Objects], bool]) -> Callable[[State], bool]:
    """A condition on all pods of a namespace."""
    return lambda state: holds(list(state[pods(namespace).path].values()))


def all_ready(count: int) -> Callable[[Objects], bool]:
    return lambda found: len(found) == count and all(map(is_ready, found))


def rolled_out(namespace: str, value: str, count: int) -> Callable[[State], bool]:
    """Exactly ``count`` pods, all ready, all with the environment VERSION=value; and the controller knows."""

    def holds(state: State) -> bool:
        found = list(state[pods(namespace).path].values())
        owner = state[sets(namespace).path].get(NAME, {})
        status = owner.get("status", {})
        return (
            all_ready(count)(found)
            and {version(each) for each in found} == {value}
            and status.get("observedGeneration") == metadata(owner).get("generation")
            and status.get("numberAvailable") == count
        )

    return holds


def created(scene: Scene, seen: Recording, namespace: str, **fields: Any) -> ApiObject:
    """A DaemonSet of version 1 with a ready pod on each node."""
    made = scene.create(namespace, manifests.daemon_set(NAME, versioned("1"), **fields))
    seen.until(rolled_out(namespace, "1", len(scene.nodes)), what="version 1 on every node")
    return made
