"""What a drive watched in a namespace of its own, and what is awaited of the objects there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fixtures.stage import Recording
from kubewitness.checks.selecting import metadata
from kubewitness.checks.volumes import said
from kubewitness.clusters.api import Resource, pods
from kubewitness.clusters.following import State
from kubewitness.model.observation import ApiObject
from suites.states import is_ready


@dataclass(frozen=True)
class Watched:
    """A namespace with pods, what its watches delivered, and what the pods told."""

    namespace: str
    seen: Recording
    made: ApiObject  # the object that the drive is about
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def pods(self) -> str:
        return pods(self.namespace).path

    @property
    def events(self) -> str:
        return events(self.namespace).path

    @property
    def subject(self) -> str:
        return f"{self.namespace}/{metadata(self.made)['name']}"


def events(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/events")


def named(objects: Iterable[ApiObject], name: str) -> ApiObject:
    """The object with a name; {} if there is none."""
    return next((each for each in objects if metadata(each).get("name") == name), {})


def all_ready(namespace: str, *names: str) -> Callable[[State], bool]:
    """These pods are ready, whatever others are."""
    return lambda state: all(is_ready(state[pods(namespace).path].get(each)) for each in names)


def gone(collection: str, *names: str) -> Callable[[State], bool]:
    return lambda state: not set(names) & set(state[collection])


def complained(namespace: str, reason: str, words: dict[str, str]) -> Callable[[State], bool]:
    """For every object that ``words`` names there is an event of this reason that says these words."""

    def holds(state: State) -> bool:
        told = list(state[events(namespace).path].values())
        return all(any(text in each for each in said(told, about, reason)) for about, text in words.items())

    return holds
