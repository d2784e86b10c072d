"""Bodies of every kind as a real API server wrote them (see data/README.md)."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from pathlib import Path

import pytest

from kubewitness.capture.files import CaptureFile
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.objects import about, identity, members
from kubewitness.model.observation import (
    UNKNOWN,
    ApiRequest,
    ApiResponse,
    Encryption,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    WatchEvent,
)
from kubewitness.wire.decoder import Decoder

FILE = Path(__file__).parent / "data" / "bodies-1.37.2.pcap.gz"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture(scope="module")
def recorded() -> History:
    packets = CaptureFile(io.BytesIO(gzip.decompress(FILE.read_bytes())), FILE.name, lambda _: None)
    decoder, frame = Decoder(frozenset(), frozenset(), lambda *_: UNKNOWN), 0
    while (packet := packets.next()) is not None:
        frame += 1
        decoder.feed(frame, packet.time_ns, packet.data, packet.link)
    return decoder.finish(CaptureStatistics(frame, 0, ()))


def answers(history: History, accept: str, verb: str) -> list[ApiResponse]:
    return [
        each
        for each in history.observations
        if isinstance(each, ApiResponse)
        and (each.request.headers.get("accept"), each.request.verb) == (accept, verb)
    ]


def requests(history: History, content_type: str) -> list[ApiRequest]:
    found = [each for each in history.observations if isinstance(each, ApiRequest)]
    return [each for each in found if each.content_type == content_type]


def test_all_of_it_is_read(recorded: History) -> None:
    assert recorded.missing == ()
    for each in recorded.observations:
        if isinstance(each, ApiResponse) and each.request.verb != "watch":
            assert each.body is not None
            assert each.audit_id
        if isinstance(each, ApiRequest):
            assert (each.sender.known, each.sender.claimed) == (False, "curl")


def test_requests_in_cbor_and_yaml_name_what_they_make(recorded: History) -> None:
    made = {
        kind: [(each.verb, each.resource, each.name) for each in requests(recorded, kind)]
        for kind in (
            "application/cbor",
            "application/apply-patch+cbor",
            "application/yaml",
            "application/apply-patch+yaml",
        )
    }
    assert made == {
        "application/cbor": [
            ("create", "pods", "seed"),
            ("create", "configmaps", "blob"),
            ("create", "widgets", "w1"),
        ],
        "application/apply-patch+cbor": [("patch", "configmaps", "applied-cbor")],
        "application/yaml": [("create", "configmaps", "made-yaml")],
        "application/apply-patch+yaml": [("patch", "configmaps", "applied-yaml")],
    }


def test_an_object_is_the_same_in_yaml_as_in_an_event_of_json(recorded: History) -> None:
    (applied,) = answers(recorded, "application/yaml", "patch")
    events = [each for each in recorded.observations if isinstance(each, WatchEvent)]
    (added,) = [
        each
        for each in events
        if each.request.headers["accept"] == "application/json"
        and identity(each.object).name == "applied-yaml"
        and each.type == "ADDED"
    ]
    assert applied.body == added.object
    (asked,) = requests(recorded, "application/apply-patch+yaml")
    assert asked.body is not None
    # The key was written as on: without quotes, which is a boolean to an API server.
    assert added.object["data"] == {"when": "2026-01-02", "true": "off", "text": "two\nlines\n"}
    assert added.object["data"] == asked.body["data"]
    assert asked.body["metadata"]["annotations"] == {"app": "web"}


def test_objects_are_the_same_in_cbor_as_in_json_and_yaml(recorded: History) -> None:
    events = [each for each in recorded.observations if isinstance(each, WatchEvent)]

    def watched(accept: str) -> list[object]:
        return [
            (each.type, each.object)
            for each in events
            if each.request.headers["accept"] == accept and each.request.resource == "configmaps"
            and each.type != "BOOKMARK"
        ]  # fmt: skip

    assert watched("application/cbor") == watched("application/json")
    assert len(watched("application/cbor")) == 10
    (blob,) = [each for each in members(answers(recorded, "application/yaml", "list")[0].body)
               if identity(each).name == "blob"]  # fmt: skip
    assert blob["binaryData"] == {"raw": "AP8Q"}
    created = answers(recorded, "application/cbor", "create")
    assert created[1].body is not None
    assert created[1].body["binaryData"] == {"raw": "AP8Q"}
    assert created[1].body["metadata"] == blob["metadata"]


def test_a_custom_resource_is_stored_in_cbor(recorded: History) -> None:
    (put,) = [
        each
        for each in recorded.observations
        if isinstance(each, EtcdRequest)
        and any(op.op == "put" and "widgets" in op.key for op in each.operations)
    ]
    value = put.operations[0].value
    assert value is not None
    raw = [True, None, -7, 2**40]
    assert value["spec"] == {"size": 3, "ratio": 0.5, "at": "2026-01-02T03:04:05Z", "raw": raw}
    (event,) = [
        each
        for each in recorded.observations
        if isinstance(each, EtcdWatchEvent) and "widgets" in each.kv.key
    ]
    assert event.kv.object == value
    listed = answers(recorded, "application/cbor", "list")[-1]
    assert listed.request.resource == "widgets"
    (item,) = members(listed.body)
    assert identity(item).uid == identity(value).uid
    assert int(identity(item).resource_version) == event.kv.mod_revision


def test_tables_are_about_the_objects_of_their_rows(recorded: History) -> None:
    pods, widgets = answers(recorded, TABLE, "list")
    (got,) = answers(recorded, TABLE, "get")
    (row,) = members(pods.body)
    assert row["kind"] == "PartialObjectMetadata"
    assert identity(row).name == identity(about(got.body)).name == "seed"
    assert identity(row).uid == identity(about(got.body)).uid
    assert len(members(widgets.body)) == 1
    events = [each for each in recorded.observations
              if isinstance(each, WatchEvent) and each.request.headers["accept"] == TABLE]  # fmt: skip
    assert [(each.type, identity(about(each.object)).name) for each in events] == [
        ("ADDED", "seed"), ("MODIFIED", "seed"), ("MODIFIED", "seed"), ("DELETED", "seed"),
    ]  # fmt: skip


def test_metadata_alone_is_read_in_protobuf(recorded: History) -> None:
    kinds = Counter(
        each.object["kind"]
        for each in recorded.observations
        if isinstance(each, WatchEvent) and "PartialObjectMetadata" in each.request.headers["accept"]
    )
    assert kinds == {"PartialObjectMetadata": 8}


def test_a_streaming_list_tells_its_end(recorded: History) -> None:
    streamed = [
        each
        for each in recorded.observations
        if isinstance(each, WatchEvent) and "sendInitialEvents" in each.request.query
    ]
    assert [each.type for each in streamed if each.ends_list] == ["BOOKMARK"]
    assert streamed[0].ends_list  # there was nothing to list
    assert [each.type for each in streamed[1:]].count("ADDED") == 1


def test_patches_are_of_their_kinds(recorded: History) -> None:
    patches = [each for each in recorded.observations if isinstance(each, ApiRequest) and each.patch]
    assert [each.patch for each in patches] == ["apply", "apply", "json", "merge", "strategic"]
    assert [each["op"] for each in patches[2].operations] == ["add", "test"]


def test_a_secret_is_stored_encrypted(recorded: History) -> None:
    secret = Encryption("aescbc", "v1", "key1")
    found = [each for each in recorded.observations if isinstance(each, EtcdRequest | EtcdResponse)]
    put = [op.encrypted for each in found if isinstance(each, EtcdRequest) for op in each.operations]
    got = [kv.encrypted for each in found if isinstance(each, EtcdResponse) for kv in each.keys]
    assert put.count(secret) == 1
    assert got.count(secret) == 1


def test_etcds_other_services_are_told(recorded: History) -> None:
    told = {
        each.request.method.rpartition("/")[2]: (dict(each.request.arguments), dict(each.results))
        for each in recorded.observations
        if isinstance(each, EtcdResponse) and not each.request.method.startswith("/etcdserverpb.KV/")
    }
    members_ = told["MemberList"][1]["members"]
    assert [(each["name"], each["clientURLs"]) for each in members_] == [
        ("default", ["http://127.0.0.1:2379"])
    ]
    assert told["Status"][1]["version"] == "3.7.0"
    assert told["Status"][1]["leader"] == members_[0]["ID"]
    assert told["LeaseGrant"] == ({"TTL": 60, "ID": 123}, {"ID": 123, "TTL": 60})
    assert told["LeaseKeepAlive"] == ({"ID": 123}, {"ID": 123, "TTL": 60})
    assert told["LeaseTimeToLive"][1]["grantedTTL"] == 60
    assert told["LeaseRevoke"][0] == {"ID": 123}
    assert told["HashKV"][1]["compact_revision"] == 5
    assert told["Watch"][1] == {"canceled": True, "compact_revision": 5}
    assert {"Alarm", "LeaseLeases", "Defragment"} <= set(told)
