"""Pods with volumes, and what is awaited and judged of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubewitness.checks.volumes import never_started, reported
from kubewitness.checks.workloads import Check
from suites import manifests
from suites.manifests import Manifest
from suites.watching import Watched

#: Where the suite keeps what it writes to nodes' disks.
ON_NODE = "/var/lib/kubewitness"


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


def complains(watched: Watched, reason: str, words: dict[str, str]) -> list[Check]:
    """The same as checks, one for each object."""
    return [reported(watched.events, reason, about, text) for about, text in words.items()]


def never_start(watched: Watched, names: Iterable[str]) -> Check:
    return never_started(watched.pods, names)
