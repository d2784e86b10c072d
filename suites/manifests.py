"""Objects that suites create, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubewitness.model.observation import ApiObject

PAUSE = "registry.k8s.io/pause:3.10.2"
WITNESS = "kubewitness.example/witness:1"
PORT = 8080
GRACE_S = 5

Manifest = dict[str, Any]


def container(image: str = PAUSE, name: str = "main", **fields: Any) -> Manifest:
    """No image is ever pulled: all are on every node."""
    return {"name": name, "image": image, "imagePullPolicy": "Never", **fields}


def witness(*arguments: str, name: str = "main", **fields: Any) -> Manifest:
    """A container that tells what it sees (see kubewitness/assets/witness.go)."""
    return container(WITNESS, name, **({"args": list(arguments)} if arguments else {}), **fields)


def ready_probe(period_s: int = 1, port: int = PORT, **fields: int) -> Manifest:
    asked = {"httpGet": {"path": "/ready", "port": port}, "periodSeconds": period_s, "failureThreshold": 1}
    return {"readinessProbe": asked | fields}


def pod_spec(*containers: Manifest, **fields: Any) -> Manifest:
    return {
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": list(containers or [container()]),
        **fields,
    }


def pod(name: str, spec: Manifest | None = None, **metadata: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": spec or pod_spec(),
    }


def template(labels: Mapping[str, str], spec: Manifest | None = None) -> Manifest:
    return {"metadata": {"labels": {**labels}}, "spec": spec or pod_spec()}


def daemon_set(name: str, spec: Manifest | None = None, **fields: Any) -> Manifest:
    return _workload("DaemonSet", name, {"app": name}, spec, **fields)


def deployment(
    name: str,
    replicas: int,
    spec: Manifest | None = None,
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> Manifest:
    """``labels`` are those of its pods, by which it selects them; app=NAME if none are given."""
    return _workload("Deployment", name, labels or {"app": name}, spec, replicas=replicas, **fields)


def replica_set(name: str, replicas: int, spec: Manifest | None = None, **fields: Any) -> Manifest:
    return _workload("ReplicaSet", name, {"app": name}, spec, replicas=replicas, **fields)


def _workload(
    kind: str, name: str, labels: Mapping[str, str], spec: Manifest | None, **fields: Any
) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {**labels}}, "template": template(labels, spec), **fields},
    }


def replication_controller(
    name: str, replicas: int, labels: Mapping[str, str], spec: Manifest | None = None
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {**labels}, "template": template(labels, spec)},
    }


def service(name: str, selector: Mapping[str, str], port: int = 80, target: int = PORT) -> Manifest:
    """A Service with an address of its own, for pods that serve on ``target``."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {**selector}, "ports": [{"port": port, "targetPort": target}]},
    }


def rolling(**limits: int) -> Manifest:
    """The update strategy of a DaemonSet or a Deployment, such as ``rolling(maxUnavailable=1)``."""
    return {"type": "RollingUpdate", "rollingUpdate": limits}


def with_environment(name: str, value: str) -> Manifest:
    """A change of a workload's template that its containers see."""
    changed = {"name": "main", "env": [{"name": name, "value": value}]}
    return {"spec": {"template": {"spec": {"containers": [changed]}}}}


def environment(obj: ApiObject) -> dict[str, str]:
    """The literal environment of the first container, of a pod or of a workload's template."""
    spec = obj["spec"].get("template", obj)["spec"]
    return {each["name"]: each["value"] for each in spec["containers"][0].get("env", []) if "value" in each}


def labelled(node: str, key: str, value: str | None) -> tuple[str, Manifest]:
    """The path and the change that set or remove a label of a node."""
    return f"/api/v1/nodes/{node}", {"metadata": {"labels": {key: value}}}
