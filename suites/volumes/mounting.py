"""Pods with volumes, and what is awaited and judged of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fixtures.stage import Recording
from kubewitness.checks.selecting import metadata
from kubewitness.checks.volumes import never_started, reported, said
from kubewitness.checks.workloads import Check
from kubewitness.clusters.api import Resource, pods
from kubewitness.clusters.following import State
from kubewitness.model.observation import ApiObject
from suites import manifests
from suites.manifests import Manifest
from suites.states import is_ready

#: Where the suite keeps what it writes to nodes' disks.
ON_NODE = "/var/lib/kubewitness"


@dataclass(frozen=True)
class Watched:
    """A namespace with pods and their volumes, what its watches delivered, and what the pods told."""

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


def volume(name: str, **source: Any) -> Manifest:
    return {"name": name, **source}


def mount(name: str, path: str, **fields: Any) -> Manifest:
    return {"name": name, "mountPath": path, **fields}


def host_path(name: str, path: str, kind: str = "") -> Manifest:
    return volume(name, hostPath={"path": path, "type": kind})


def witness_pod(name: str, mounts: list[Manifest], volumes: list[Manifest], **fields: Any) -> Manifest:
    """A pod that tells what it finds at its mounts."""
    one = manifests.witness(volumeMounts=mounts, **manifests.ready_probe())
    return manifests.pod(name, manifests.pod_spec(one, volumes=volumes, **fields))


def idle_pod(name: str, *volumes: Manifest, **fields: Any) -> Manifest:
    """A pod that mounts volumes, each at its name, and does nothing."""
    one = manifests.container(volumeMounts=[mount(each["name"], f"/{each['name']}") for each in volumes])
    spec = manifests.pod_spec(one, volumes=[*volumes], **{"terminationGracePeriodSeconds": 1, **fields})
    return manifests.pod(name, spec)


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


def complains(watched: Watched, reason: str, words: dict[str, str]) -> list[Check]:
    """The same as checks, one for each object."""
    return [reported(watched.events, reason, about, text) for about, text in words.items()]


def never_start(watched: Watched, names: Iterable[str]) -> Check:
    return never_started(watched.pods, names)
