"""What the pods of this area ask of the downward API."""

from __future__ import annotations

from suites.manifests import Manifest

LABEL, ANNOTATION = "example.com/tier", "example.com/note"
TIER, NOTE = f"metadata.labels['{LABEL}']", f"metadata.annotations['{ANNOTATION}']"

#: The environment variables of each pod and the fields that they come from.
FIELDS = {
    "HOST_IP": "status.hostIP",
    "POD_IP": "status.podIP",
    "POD_IPS": "status.podIPs",
    "NODE_NAME": "spec.nodeName",
    "NAMESPACE": "metadata.namespace",
    "POD_NAME": "metadata.name",
    "POD_UID": "metadata.uid",
    "SERVICE_ACCOUNT": "spec.serviceAccountName",
    "TIER": TIER,
    "NOTE": NOTE,
}
#: Those that the kubelet itself finds out and reports; it cannot have been told them before the pod starts.
FOUND_BY_KUBELET = ("HOST_IP", "POD_IP", "POD_IPS")

#: No amount is a multiple of all its divisors: what is cut off, or rounded to the nearest, shows.
RESOURCES = {
    "limits": {"cpu": "1250m", "memory": "33000001", "ephemeral-storage": "20M"},
    "requests": {"cpu": "125m", "memory": "20000001", "ephemeral-storage": "10M"},
}
#: Environment variables, the resource and the divisor that they come from, and the value that they must have.
AMOUNTS = {
    "CPU_LIMIT": ("limits.cpu", "", "2"),
    "CPU_LIMIT_MILLI": ("limits.cpu", "1m", "1250"),
    "CPU_REQUEST": ("requests.cpu", "1", "1"),
    "CPU_REQUEST_MILLI": ("requests.cpu", "1m", "125"),
    "MEMORY_LIMIT": ("limits.memory", "", "33000001"),
    "MEMORY_LIMIT_MI": ("limits.memory", "1Mi", "32"),
    "MEMORY_REQUEST": ("requests.memory", "1", "20000001"),
    "MEMORY_REQUEST_KI": ("requests.memory", "1Ki", "19532"),
    "STORAGE_LIMIT_MI": ("limits.ephemeral-storage", "1Mi", "20"),
    "STORAGE_REQUEST_K": ("requests.ephemeral-storage", "1k", "10000"),
}


def field_ref(path: str) -> Manifest:
    return {"fieldRef": {"fieldPath": path}}


def resource_ref(resource: str, divisor: str = "", container: str = "") -> Manifest:
    reference = {"containerName": container, "resource": resource, "divisor": divisor}
    return {"resourceFieldRef": {key: value for key, value in reference.items() if value}}


def variable(name: str, source: Manifest) -> Manifest:
    return {"name": name, "valueFrom": source}


def from_fields() -> list[Manifest]:
    return [variable(name, field_ref(path)) for name, path in FIELDS.items()]


def from_amounts() -> list[Manifest]:
    return [variable(name, resource_ref(what, by)) for name, (what, by, _) in AMOUNTS.items()]


def volume(name: str, *items: Manifest, **fields: int) -> Manifest:
    return {"name": name, "downwardAPI": {"items": list(items), **fields}}


def mount(name: str, path: str) -> Manifest:
    return {"name": name, "mountPath": path, "readOnly": True}
