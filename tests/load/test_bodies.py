"""What is written as protobuf is what the decoder reads."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.load.bodies import protobuf
from kubewitness.load.plan import PlanError
from kubewitness.wire.protobuf import decode

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "ns", "labels": {"app": "a", "ä": ""}, "generation": 300},
    "spec": {
        "terminationGracePeriodSeconds": -1,
        "hostNetwork": True,
        "nodeSelector": {"only": "nobody"},
        "tolerations": [{"operator": "Exists"}, {"key": "k", "effect": "NoExecute", "tolerationSeconds": 5}],
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}, {"name": "w"}],
        "containers": [
            {
                "name": "main",
                "image": "none",
                "args": ["x" * 200],
                "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
                "livenessProbe": {"tcpSocket": {"port": 80}},
            }
        ],
    },
}


def is_in(wanted: Any, found: Any) -> bool:
    """The decoder adds what is empty, as the API's JSON has it."""
    if isinstance(wanted, dict):
        return all(name in found and is_in(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(is_in, wanted, found))
    return bool(wanted == found)


@pytest.mark.parametrize(
    "manifest",
    [
        POD,
        {"apiVersion": "v1", "kind": "Secret", "data": {"a": "AAEC"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {"replicas": 0, "template": {"spec": POD["spec"]}},
        },
        {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n"}},
    ],
    ids=lambda manifest: manifest["kind"],
)
def test_what_is_written_is_what_is_read(manifest: dict[str, Any]) -> None:
    found = decode(protobuf(manifest))
    assert is_in(manifest, found), found


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ({"apiVersion": "example/v1", "kind": "Pod"}, "found 'Pod' of 'example/v1'"),
        ({"apiVersion": "v1", "kind": "Pod", "spek": {}}, "Pod has no field 'spek'"),
        (
            {"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"emptyDirs": {}}]}},
            "no field 'emptyDirs'",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": "x"}},
            "a Time is not written",
        ),
    ],
)
def test_what_is_not_written(manifest: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        protobuf(manifest)
