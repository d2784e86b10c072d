"""Nodes that nobody runs: Node objects by the thousand, and KWOK in the place of their kubelets.

They come into the cluster whole, by one POST each, so that KWOK has nothing to write for them: it sends
neither heartbeats nor leases, and nobody looks for any. It acts on pods: one that is bound runs where it
carries RUN, and stays pending where it does not; one that is deleted is gone at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

#: The label, of value "true", of the nodes that KWOK takes care of.
SIMULATED: Final = "kubewitness.example/simulated"
#: The labels of a pod that is to become Running once it is bound.
RUN: Final = MappingProxyType({"kubewitness.example/simulate": "run"})
ZONES: Final = ("zone-a", "zone-b", "zone-c")
#: What each has room for; as in scheduler_perf's node-default.yaml, so that figures can be put side by side.
ROOM: Final = MappingProxyType({"cpu": "4", "memory": "32Gi", "pods": "110"})
_POD_ADDRESSES: Final = "10.128.0.0/9"  # enough for all; they lead nowhere
_AT_ONCE: Final = 16  # writes of KWOK's under way; its default is 4

_READY: Final = {
    "type": "Ready",
    "status": "True",
    "reason": "Simulated",
    "message": "no kubelet says so",
}


def node(
    name: str,
    zone: str,
    taints: Sequence[Mapping[str, str]] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
    room: Mapping[str, str] = ROOM,
) -> dict[str, Any]:
    """A manifest to POST, with ``room`` for pods.

    The API server keeps a new Node's status, so it is Ready from the beginning.
    """
    known = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": zone,
        SIMULATED: "true",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": known | dict(labels)},
        "spec": {"taints": [dict(each) for each in taints]} if taints else {},
        "status": {"capacity": dict(room), "allocatable": dict(room), "conditions": [dict(_READY)]},
    }


def nodes(count: int, prefix: str = "simulated", room: Mapping[str, str] = ROOM) -> Iterator[dict[str, Any]]:
    """That many manifests, spread evenly over ZONES: ``simulated-1`` in the first, and so on."""
    for number in range(1, count + 1):
        yield node(f"{prefix}-{number}", ZONES[(number - 1) % len(ZONES)], room=room)


def write_configuration(path: Path) -> Path:
    """KWOK's own file: which nodes it takes care of, and by which stages."""
    options = {
        "manageNodesWithLabelSelector": f"{SIMULATED}=true",
        "cidr": _POD_ADDRESSES,
        # No leases (nodeLeaseDurationSeconds), and no port on which it is the kubelet of all (nodePort).
        "podPlayStageParallelism": _AT_ONCE,
        "nodePlayStageParallelism": _AT_ONCE,
    }
    configuration = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": options,
    }
    documents = [configuration, *_stages()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n---\n".join(json.dumps(each, indent=1) for each in documents) + "\n")
    return path


def _stages() -> Iterator[dict[str, Any]]:
    ready = {"key": '.status.conditions.[] | select( .type == "Ready" ) | .status'}
    yield _stage(
        "node-ready",
        "Node",
        {"matchExpressions": [ready | {"operator": "NotIn", "values": ["True"]}]},
        {"statusTemplate": _MADE_READY},
    )
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    yield _stage(
        "pod-run",
        "Pod",
        {"matchLabels": dict(RUN), "matchExpressions": [alive, pending]},
        {"statusTemplate": _RUNNING},
    )
    # The API server tells of a pod that goes at once by one change more, and KWOK would delete it again.
    grace = ".metadata.deletionGracePeriodSeconds | tostring"  # KWOK compares no numbers
    waited_for = {"key": grace, "operator": "NotIn", "values": ["0"]}
    yield _stage(
        "pod-gone",
        "Pod",
        {"matchExpressions": [alive | {"operator": "Exists"}, waited_for]},
        {"delete": True},
    )


def _stage(name: str, kind: str, selector: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": selector, "next": then},
    }


# Templates of YAML, in KWOK's dialect.
_MADE_READY: Final = """\
conditions:
- type: Ready
  status: "True"
  reason: Simulated
  message: no kubelet says so
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
"""
_RUNNING: Final = """\
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
conditions:
{{ range $type := list "Initialized" "ContainersReady" "Ready" }}
- {type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
{{ $host := or .spec.hostNetwork false }}
{{ with PodIPsWith .spec.nodeName $host .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""
