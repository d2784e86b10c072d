"""Pods that are scheduled on simulated nodes, plain ones and those that take the scheduler longer."""

from __future__ import annotations

from typing import Any

from fixtures.loads import Manifest

ZONE = "topology.kubernetes.io/zone"
#: Keeps pods away that do not tolerate it; some of the nodes have it.
TAINT = {"key": "kubewitness.example/dedicated", "value": "load", "effect": "NoSchedule"}
_TOLERATION = {"key": TAINT["key"], "operator": "Exists"}


def pod(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """As scheduler_perf's default pod, with requests so small that a single node holds a thousand."""
    requests = {"cpu": "1m", "memory": "1Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "load"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "none", "resources": {"requests": requests}}],
            **spec,
        },
    }


_OTHERS = {"matchLabels": {"app": "load"}}


def with_affinity(namespace: str, name: str) -> dict[str, Any]:
    """Only where a pod of the load is in the zone already (the first may go anywhere)."""
    term = {"labelSelector": _OTHERS, "topologyKey": ZONE}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return pod(namespace, name, affinity=affinity)


def spread(namespace: str, name: str) -> dict[str, Any]:
    constraint = {
        "maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": _OTHERS,
    }  # fmt: skip
    return pod(namespace, name, topologySpreadConstraints=[constraint])


def tolerating(namespace: str, name: str) -> dict[str, Any]:
    return pod(namespace, name, tolerations=[_TOLERATION])


def urgent(namespace: str, name: str) -> dict[str, Any]:
    """Every second pod goes before the others in the scheduler's queue."""
    odd = int(name.removeprefix("p")) % 2
    return pod(namespace, name, **({"priorityClassName": "system-cluster-critical"} if odd else {}))


def daemon_set(namespace: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(namespace, name)["spec"]}
    del template["spec"]["terminationGracePeriodSeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


WORKLOADS: dict[str, Manifest] = {
    "plain": pod,
    "affinity": with_affinity,
    "topology spread": spread,
    "tolerations": tolerating,
    "priorities": urgent,
}
