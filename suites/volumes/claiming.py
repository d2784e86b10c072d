"""Persistent volumes and claims to them. The names of volumes begin with a namespace, to be unique."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubewitness.clusters.api import Resource
from kubewitness.clusters.following import State
from suites.manifests import Manifest
from suites.states import phase

RWO, RWX, ROX, RWOP = "ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"


def volumes() -> Resource:
    return Resource("/api/v1/persistentvolumes")


def claims(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")


def persistent_volume(
    name: str,
    storage_class: str,
    gibibytes: int,
    *modes: str,
    labels: dict[str, str] | None = None,
    **fields: Any,
) -> Manifest:
    """``fields`` have its source. A class need not exist to be asked for and offered."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "capacity": {"storage": f"{gibibytes}Gi"},
            "accessModes": [*modes] or [RWO],
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Retain",
            **fields,
        },
    }


def claim(name: str, storage_class: str, gibibytes: int, *modes: str, **fields: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [*modes] or [RWO],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": f"{gibibytes}Gi"}},
            **fields,
        },
    }


def directory(path: str) -> Manifest:
    """A volume's source: a directory of the node, made where there is none."""
    return {"path": path, "type": "DirectoryOrCreate"}


def claimed(name: str, by: str) -> Manifest:
    """A pod's volume by way of a claim."""
    return {"name": name, "persistentVolumeClaim": {"claimName": by}}


def claims_are(namespace: str, wanted: str, *names: str) -> Callable[[State], bool]:
    """These claims are in a phase, such as Bound."""
    return lambda state: all(phase(state[claims(namespace).path].get(each)) == wanted for each in names)


def volumes_are(wanted: str, *names: str) -> Callable[[State], bool]:
    return lambda state: all(phase(state[volumes().path].get(each)) == wanted for each in names)
