"""etcd's Lease, Cluster and Maintenance, ends of watches, encrypted values, and services of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.model.observation import (
    Encryption,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    Undecoded,
)
from kubewitness.wire.cbor import MAGIC
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.etcd_services import _PLANS, arguments, results
from tests.wire.grpc_traffic import Side, client_start, data, header, key_value, message, put
from tests.wire.grpc_traffic import settings as settings_frame
from tests.wire.test_etcd import exchanged, pair
from tests.wire.traffic import ETCD, Talk, history, proto

RPC = "/etcdserverpb."
MEMBER = proto((1, 2**63 + 5), (2, "m1"), (3, "http://a:2380"), (3, "http://b:2380"), (4, "http://a:2379"))


@pytest.mark.parametrize(
    ("method", "asked", "answered", "arguments_", "results_"),
    [
        ("KV/Compact", [(1, 5), (2, 1)], [], {"revision": 5, "physical": True}, {}),
        (
            "Lease/LeaseGrant", [(1, 60), (2, 7)], [(2, 7), (3, 60)],
            {"TTL": 60, "ID": 7}, {"ID": 7, "TTL": 60},
        ),
        ("Lease/LeaseRevoke", [(1, 7)], [], {"ID": 7}, {}),
        (
            "Lease/LeaseTimeToLive", [(1, 7), (2, 1)], [(2, 7), (3, -1), (4, 60), (5, "a"), (5, b"\xff")],
            {"ID": 7, "keys": True}, {"ID": 7, "TTL": -1, "grantedTTL": 60, "keys": ["a", "\\xff"]},
        ),
        (
            "Lease/LeaseLeases", [], [(2, proto((1, 7))), (2, proto((1, 8)))],
            {}, {"leases": [{"ID": 7}, {"ID": 8}]},
        ),
        (
            "Cluster/MemberList", [(1, 1)], [(2, MEMBER)], {"linearizable": True},
            {"members": [{
                "ID": 2**63 + 5, "name": "m1", "peerURLs": ["http://a:2380", "http://b:2380"],
                "clientURLs": ["http://a:2379"],
            }]},
        ),
        (
            "Cluster/MemberAdd", [(1, "http://c:2380"), (2, 1)],
            [(2, proto((1, 3), (5, 1))), (3, proto((1, 3)))],
            {"peerURLs": ["http://c:2380"], "isLearner": True},
            {"member": {"ID": 3, "isLearner": True}, "members": [{"ID": 3}]},
        ),
        ("Cluster/MemberRemove", [(1, 3)], [(2, proto((2, "m1")))], {"ID": 3}, {"members": [{"name": "m1"}]}),
        (
            "Maintenance/Alarm", [(1, 2), (2, 3), (3, 1)], [(2, proto((1, 3), (2, 2)))],
            {"action": "DEACTIVATE", "memberID": 3, "alarm": "NOSPACE"},
            {"alarms": [{"memberID": 3, "alarm": "CORRUPT"}]},
        ),
        ("Maintenance/Alarm", [(1, 9)], [], {"action": "9"}, {}),
        (
            "Maintenance/Status", [], [(2, "3.7.0"), (3, 4096), (4, 3), (8, "NOSPACE"), (99, "new")],
            {}, {"version": "3.7.0", "dbSize": 4096, "leader": 3, "errors": ["NOSPACE"]},
        ),
        ("Maintenance/MoveLeader", [(1, 3)], [], {"targetID": 3}, {}),
        (
            "Maintenance/HashKV", [(1, 9)], [(2, 77), (4, 9)],
            {"revision": 9}, {"hash": 77, "hash_revision": 9},
        ),
        ("Maintenance/Defragment", [], [], {}, {}),
        ("Auth/AuthStatus", [(1, 1)], [(2, 1)], {}, {}),
    ],
)  # fmt: skip
def test_a_call_is_told_with_its_essentials(
    method: str,
    asked: list[tuple[int, int | str | bytes]],
    answered: list[tuple[int, int | str | bytes]],
    arguments_: dict[str, object],
    results_: dict[str, object],
) -> None:
    request, response = pair(exchanged(f"{RPC}{method}", proto(*asked), proto((1, header(3)), *answered)))
    assert (request.arguments, response.results) == (arguments_, results_)
    assert (request.operations, response.keys) == ((), ())
    assert response.revision == 3


def conversation(method: str, asked: list[bytes], answered: list[bytes]) -> tuple[Observation, ...]:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    packets = talk.open() + talk.ask(client_start() + client.call(1, f"{RPC}{method}", *asked))
    return history(packets + talk.answer(settings_frame() + server.answer(1, *answered))).observations


def test_each_message_that_keeps_a_lease_alive_has_its_answer() -> None:
    asked = [proto((1, 7)), proto((1, 8))]
    answered = [proto((1, header(3)), (2, 7), (3, 60)), proto((1, header(4)), (2, 8), (3, 30))]
    found = conversation("Lease/LeaseKeepAlive", asked, answered)
    requests = [each for each in found if isinstance(each, EtcdRequest)]
    responses = [each for each in found if isinstance(each, EtcdResponse)]
    assert [each.arguments for each in requests] == [{"ID": 7}, {"ID": 8}]
    assert [(each.request, each.results) for each in responses] == [
        (requests[0], {"ID": 7, "TTL": 60}),
        (requests[1], {"ID": 8, "TTL": 30}),
    ]


def test_an_answer_that_keeps_nothing_alive_is_told() -> None:
    found = conversation("Lease/LeaseKeepAlive", [proto((1, 7))], [proto((2, 7)), proto((2, 7))])
    (odd,) = [each for each in found if isinstance(each, Undecoded)]
    assert "without its request" in odd.why


def test_a_snapshot_is_told_by_its_size() -> None:
    parts = [
        proto((1, header(3)), (2, 40), (3, bytes(30)), (4, "3.7.0")),
        proto((3, bytes(12)), (4, "3.7.0")),
    ]
    _, response = conversation("Maintenance/Snapshot", [b""], parts)
    assert isinstance(response, EtcdResponse)
    assert (response.results, response.revision) == ({"bytes": 42, "version": "3.7.0"}, 3)


def test_a_watch_that_etcd_ends_is_told_with_the_reason() -> None:
    create = [proto((1, proto((1, f"/registry/{each}/"), (3, 1)))) for each in ("pods", "nodes")]
    cancel = proto((2, proto((1, 4))))
    answered = [
        proto((1, header(9)), (2, 4), (3, 1)),
        proto((1, header(9)), (2, 5), (3, 1)),
        proto((1, header(9)), (2, 5), (11, proto((2, key_value("/registry/nodes/n", 9))))),
        proto((1, header(9)), (2, 5), (4, 1), (5, 6), (6, "compacted")),
        proto((1, header(9)), (2, 4), (4, 1)),
    ]
    found = conversation("Watch/Watch", [*create, cancel], answered)
    pods, nodes, cancelling = [each for each in found if isinstance(each, EtcdRequest)]
    assert cancelling.arguments == {"cancel": {"watch_id": 4}}
    ended = [each for each in found if isinstance(each, EtcdResponse)]
    assert [each.request for each in ended] == [nodes, pods]
    reason = {"watch_id": 5, "canceled": True, "compact_revision": 6, "cancel_reason": "compacted"}
    assert [each.results for each in ended] == [reason, {"watch_id": 4, "canceled": True}]
    assert sum(isinstance(each, EtcdWatchEvent) for each in found) == 1


@pytest.mark.parametrize(
    ("value", "encryption"),
    [
        (b"k8s:enc:aescbc:v1:key1:\x00\x01", Encryption("aescbc", "v1", "key1")),
        (b"k8s:enc:secretbox:v1:k:", Encryption("secretbox", "v1", "k")),
        (b"k8s:enc:kms:v2:vault:\x0a\x01", Encryption("kms", "v2", "vault")),
        (b"k8s:enc:identity", None),
        (b"k8s:enc:aescbc:v1:" + b"x" * 300 + b":", None),
        (b"text", None),
    ],
)
def test_encrypted_values_are_told_as_that(value: bytes, encryption: Encryption | None) -> None:
    key = "/registry/secrets/d/s"
    answered = proto((1, header(9)), (2, key_value(key, 4, value)))
    _, response = pair(exchanged(f"{RPC}KV/Range", proto((1, key)), answered))
    assert [(each.encrypted, each.object) for each in response.keys] == [(encryption, None)]
    request, _ = pair(exchanged(f"{RPC}KV/Put", put(key, value), proto((1, header(9)))))
    assert [(each.encrypted, each.value) for each in request.operations] == [(encryption, None)]


def test_a_value_in_cbor_is_its_object() -> None:
    request, _ = pair(exchanged(f"{RPC}KV/Put", put("/registry/x/y", MAGIC + b"\xa1\x41k\x41v"), b""))
    assert request.operations[0].value == {"k": "v"}


@pytest.mark.parametrize("value", [MAGIC, MAGIC + b"\xa1\x41k", MAGIC + b"\xff"])
def test_a_value_in_cbor_that_is_none_is_told(value: bytes) -> None:
    found = exchanged(f"{RPC}KV/Put", put("/registry/x/y", value), b"")
    assert "/registry/x/y" in found.missing[0]


@pytest.mark.parametrize("path", ["/helloworld.Greeter/SayHello", "/grpc.reflection.v1.ServerReflection/X"])
def test_services_of_others_are_passed_over(path: str) -> None:
    found = exchanged(path, b"\xff\xff", b"\xff")
    assert (found.observations, found.missing) == ((), ())


def test_health_is_a_call_as_any_other() -> None:
    request, response = pair(exchanged("/grpc.health.v1.Health/Check", b"", proto((1, 1))))
    assert (request.arguments, response.results, response.revision) == ({}, {}, 0)


@pytest.mark.parametrize("method", ["Lease/LeaseGrant", "Cluster/MemberList", "Maintenance/Alarm"])
def test_a_bad_message_is_told_and_ends_its_own_call_only(method: str) -> None:
    client, talk = Side(), Talk(port=ETCD)
    head = client.headers(1, [(":path", f"{RPC}{method}"), ("content-type", "application/grpc")])
    asked = client_start() + head + data(1, message(proto((1, b"\xff"))), ends=True)
    found = history(talk.open() + talk.ask(asked + client.call(3, f"{RPC}KV/Range", proto((1, "k")))))
    assert [type(each) for each in found.observations if each.stream == 3] == [EtcdRequest]
    assert len(found.missing) == 1


@given(st.sampled_from(sorted(_PLANS)), st.binary(max_size=60))
def test_any_bytes_are_read_or_an_error(method: str, content: bytes) -> None:
    for read in (arguments, results):
        try:
            read(f"{RPC}{method}", content)
        except DecodeError:
            continue
