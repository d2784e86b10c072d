from __future__ import annotations

import contextlib
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.wire import scalars
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.fields import fields, message
from kubewitness.wire.protobuf import decode, watch_event
from tests.wire.traffic import kubernetes, pod_bytes, proto, varint


def body(api_version: str, kind: str, raw: bytes) -> dict[str, Any]:
    found = dict(decode(kubernetes(api_version, kind, raw)))
    assert (found.pop("apiVersion"), found.pop("kind")) == (api_version, kind)
    return found


def test_a_pod_is_what_the_api_prints() -> None:
    assert decode(pod_bytes("solo", node="n1")) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "solo",
            "namespace": "default",
            "uid": "uid-solo",
            "resourceVersion": "7",
            "creationTimestamp": "2023-11-14T22:13:20Z",
        },
        "spec": {
            "containers": [{"name": "main", "image": "pause", "resources": {}}],
            "restartPolicy": "Always",
            "nodeName": "n1",
        },
        "status": {"phase": "Pending"},
    }


def test_an_empty_node_name_is_absent() -> None:
    assert "nodeName" not in decode(pod_bytes("solo", node=""))["spec"]


def test_inlined_structs_maps_quantities_and_ports() -> None:
    volume = proto((1, "v"), (2, proto((2, proto((1, ""), (2, proto((1, "5Mi"))))))))
    probe = proto((1, proto((2, proto((1, "/ok"), (2, proto((1, 1), (2, 0), (3, "http"))))))), (2, 0))
    limits = proto((1, proto((1, "cpu"), (2, proto((1, "100m"))))))
    container = proto((1, "c"), (8, limits), (10, probe))
    spec = proto((1, volume), (2, container), (7, proto((1, "disk"), (2, "ssd"))))
    assert body("v1", "Pod", proto((2, spec)))["spec"] == {
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "5Mi"}}],
        "containers": [
            {
                "name": "c",
                "resources": {"limits": {"cpu": "100m"}},
                "livenessProbe": {"httpGet": {"path": "/ok", "port": "http"}},
            }
        ],
        "nodeSelector": {"disk": "ssd"},
    }


def test_a_lease_has_microseconds() -> None:
    spec = proto((1, "n1"), (2, 40), (4, proto((1, 1_700_000_000), (2, 123_456_000))), (5, 0))
    assert body("coordination.k8s.io/v1", "Lease", proto((2, spec)))["spec"] == {
        "holderIdentity": "n1",
        "leaseDurationSeconds": 40,
        "renewTime": "2023-11-14T22:13:20.123456Z",
        "leaseTransitions": 0,
    }


def test_a_secrets_bytes_are_base64() -> None:
    raw = proto((2, proto((1, "k"), (2, b"\x00\xff"))), (3, "Opaque"))
    assert body("v1", "Secret", raw) == {"data": {"k": "AP8="}, "type": "Opaque"}


def test_managed_fields_are_json_and_embedded_objects_are_objects() -> None:
    entry = proto((1, "kubelet"), (7, proto((1, b'{"f:status": {}}'))))
    metadata = proto((1, "r"), (17, entry))
    raw = proto((1, metadata), (2, proto((1, pod_bytes("p")))), (3, 4))
    found = body("apps/v1", "ControllerRevision", raw)
    assert found["metadata"]["managedFields"] == [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}]
    assert found["data"]["metadata"]["name"] == "p"
    assert found["revision"] == 4


def test_a_wrapped_list_is_a_bare_list() -> None:
    extra = proto((1, "scopes"), (2, proto((1, "a"), (1, "b"))))
    spec = proto((3, "jane"), (5, extra))
    assert body("authorization.k8s.io/v1", "SubjectAccessReview", proto((2, spec)))["spec"] == {
        "user": "jane",
        "extra": {"scopes": ["a", "b"]},
    }


def test_the_unions_and_doubles_of_a_json_schema() -> None:
    leaf = proto((3, "#/x"), (5, "integer"), (8, proto((1, b"[1]"))), (40, 1))
    leaf += varint(11 << 3 | 1) + struct.pack("<d", 1.5)
    shown = {
        "$ref": "#/x",
        "type": "integer",
        "default": [1],
        "minimum": 1.5,
        "x-kubernetes-int-or-string": True,
    }
    properties = [
        (29, proto((1, "items"), (2, proto((24, proto((1, leaf))))))),
        (29, proto((1, "many"), (2, proto((24, proto((2, leaf), (2, leaf))))))),
        (29, proto((1, "open"), (2, proto((30, proto((1, 1))))))),
        (29, proto((1, "closed"), (2, proto((30, proto((1, 0))))))),
        (29, proto((1, "typed"), (2, proto((30, proto((1, 1), (2, leaf))))))),
        (29, proto((1, "needs"), (2, proto((32, proto((1, "k"), (2, proto((2, "a"), (2, "b"))))))))),
    ]
    version = proto((1, "v1"), (2, 1), (3, 1), (4, proto((1, proto(*properties)))))
    found = body("apiextensions.k8s.io/v1", "CustomResourceDefinition", proto((2, proto((7, version)))))
    assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] == {
        "items": {"items": shown},
        "many": {"items": [shown, shown]},
        "open": {"additionalProperties": True},
        "closed": {"additionalProperties": False},
        "typed": {"additionalProperties": shown},
        "needs": {"dependencies": {"k": ["a", "b"]}},
    }


def test_meta_kinds_are_known_in_every_group() -> None:
    status = proto((1, proto((2, "9"))), (2, "Failure"), (4, "Conflict"), (6, 409))
    expected = {"metadata": {"resourceVersion": "9"}, "status": "Failure", "reason": "Conflict", "code": 409}
    assert body("v1", "Status", status) == expected
    assert body("apps/v1", "Status", status) == expected


def test_a_watch_event_is_bare_and_its_object_is_not() -> None:
    kind, found = watch_event(proto((1, "MODIFIED"), (2, proto((1, pod_bytes("p"))))))
    assert (kind, found["metadata"]["name"]) == ("MODIFIED", "p")


def test_fields_of_a_newer_server_are_left_out() -> None:
    assert body("v1", "Pod", proto((3, proto((1, "Running"))), (999, "new"), (998, 5))) == {
        "status": {"phase": "Running"}
    }


def test_an_object_stored_as_json_inside_the_wrapper_is_read() -> None:
    stored = b"k8s\x00" + proto((2, b'{"kind": "X"}'), (4, "application/json"))
    assert decode(stored) == {"kind": "X"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "magic"),
        (kubernetes("v1", "NoSuchKind", b""), "'NoSuchKind' of 'v1' is not in the schema of Kubernetes v1."),
        (kubernetes("v1", "Pod", b"\x0a\x7fab"), "claims 127 bytes"),
        (kubernetes("v1", "Pod", b"\x0a\xff"), "does not end"),
        (kubernetes("v1", "Pod", b"\x0b"), "wire type 3"),
        (kubernetes("v1", "Pod", proto((1, proto((1, b"\xff"))))), "wanted text"),
        (kubernetes("v1", "Pod", proto((1, proto((8, proto((1, 1 << 60))))))), "out of range"),
        (kubernetes("v1", "Node", proto((3, proto((1, proto((1, "cpu"), (2, 5))))))), "wrong wire type"),
    ],
    ids=["magic", "kind", "length", "varint", "group", "text", "time", "map"],
)
def test_malformed_objects_are_errors(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(why)):
        decode(data)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_raise_anything_else(noise: bytes, at: int) -> None:
    whole = pod_bytes("p", node="n")
    for data in (kubernetes("v1", "Pod", noise), whole[:at] + noise + whole[at:]):
        with contextlib.suppress(DecodeError):
            decode(data)


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints_come_back(value: int) -> None:
    assert scalars.integer(message(proto((1, value)))[1]) == value
    assert [tag for tag, _ in fields(proto((7, value), (200, b"x")))] == [7 << 3, 200 << 3 | 2]


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (100_000_000, "100ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (-5_025_003_000_000, "-1h23m45.003s"),
    ],
)
def test_durations_read_as_gos(nanoseconds: int, shown: str) -> None:
    assert scalars.duration(proto((1, nanoseconds))) == shown


def test_the_zero_time_is_null_and_one_of_the_epoch_is_not() -> None:
    assert scalars.time(b"") is None
    assert scalars.time(proto((1, 0), (2, 0))) == "1970-01-01T00:00:00Z"
