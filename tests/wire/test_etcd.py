from __future__ import annotations

import gzip
import random

import pytest
from hyperframe import frame as h2
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.model.history import History
from kubewitness.model.observation import (
    EtcdCompare,
    EtcdOperation,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    Undecoded,
)
from kubewitness.wire import tcp
from tests.wire.grpc_traffic import Side, client_start, data, guard, header, key_value, message, put, txn
from tests.wire.grpc_traffic import settings as settings_frame
from tests.wire.traffic import ACK, ETCD, Talk, feed, history, kubernetes, pod_bytes, proto

KEY = "/registry/pods/default/solo"
KV, WATCH = "/etcdserverpb.KV/", "/etcdserverpb.Watch/Watch"


def exchanged(method: str, asked: bytes, answered: bytes, encoding: str = "", status: str = "0") -> History:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    packets = talk.open() + talk.ask(client_start() + client.call(1, method, asked, encoding=encoding))
    packets += talk.answer(settings_frame() + server.answer(1, answered, encoding=encoding, status=status))
    return history(packets)


def pair(found: History) -> tuple[EtcdRequest, EtcdResponse]:
    request, response = found.observations
    assert isinstance(request, EtcdRequest)
    assert isinstance(response, EtcdResponse)
    assert response.request is request
    assert (request.stream, response.stream) == (1, 1)
    assert found.missing == ()
    return request, response


def test_a_txn_puts_an_object_under_a_guard() -> None:
    put_response = proto((2, proto((1, header(8)))))
    answered = proto((1, header(8)), (2, 1), (3, put_response))
    request, response = pair(exchanged(f"{KV}Txn", txn(KEY, pod_bytes("solo", "n1"), 7), answered))
    assert request.compares == (EtcdCompare(key=KEY, target="mod", result="=", value=7),)
    (operation,) = request.operations
    assert (operation.op, operation.key, operation.value_bytes) == ("put", KEY, len(pod_bytes("solo", "n1")))
    assert operation.value is not None
    assert operation.value["spec"]["nodeName"] == "n1"
    assert request.otherwise == (EtcdOperation(op="range", key=KEY),)
    assert (response.revision, response.succeeded, response.keys, response.grpc_status) == (8, True, (), 0)


def test_a_failed_txn_gives_what_it_read() -> None:
    read = proto((1, proto((1, header(9)), (2, key_value(KEY, 8, pod_bytes("solo"))), (4, 1))))
    _, response = pair(
        exchanged(f"{KV}Txn", txn(KEY, pod_bytes("solo"), 7), proto((1, header(9)), (3, read)))
    )
    assert response.succeeded is False
    assert [(kv.key, kv.mod_revision) for kv in response.keys] == [(KEY, 8)]
    assert response.keys[0].object is not None
    assert response.keys[0].object["metadata"]["name"] == "solo"


def test_nested_txns_are_opened() -> None:
    inner = proto((2, proto((2, put(KEY, b"{}")))), (3, proto((1, proto((1, "unused"))))))
    delete = proto((3, proto((1, "/registry/a"), (2, "/registry/b"))))
    asked = proto((2, proto((4, inner))), (2, delete))
    nested = proto((4, proto((2, 1), (3, proto((1, proto((2, key_value(KEY, 3)))))))))
    request, response = pair(exchanged(f"{KV}Txn", asked, proto((1, header(5)), (2, 1), (3, nested))))
    assert [(each.op, each.key, each.range_end) for each in request.operations] == [
        ("put", KEY, ""),
        ("delete", "/registry/a", "/registry/b"),
    ]
    assert [kv.key for kv in response.keys] == [KEY]


def test_a_range_gives_keys_and_objects() -> None:
    values = {
        "/registry/pods/default/a": pod_bytes("a"),
        "/registry/crd/b": b'{"kind": "B"}',
        "/registry/secrets/c": b"k8s:enc:aescbc:v1:key1:\x00\x01",
        "/registry/empty": b"",
        "compact_rev_key": b"1234",
    }
    kvs = [(2, key_value(key, 4, value)) for key, value in values.items()]
    asked = proto((1, "/registry/pods/"), (2, "/registry/pods0"), (3, 500))
    request, response = pair(exchanged(f"{KV}Range", asked, proto((1, header(44)), *kvs, (4, 5))))
    assert request.operations == (
        EtcdOperation(op="range", key="/registry/pods/", range_end="/registry/pods0"),
    )
    assert response.revision == 44
    assert [kv.object and kv.object["kind"] for kv in response.keys] == ["Pod", "B", None, None, None]
    assert [kv.value_bytes for kv in response.keys] == [len(value) for value in values.values()]


def test_a_streamed_range_is_one_answer() -> None:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    method = f"{KV}RangeStream"
    packets = talk.open() + talk.ask(client_start() + client.call(1, method, proto((1, "/registry/pods/"))))
    kvs = [key_value(f"/registry/pods/default/p{n}", n, pod_bytes(f"p{n}")) for n in range(1, 6)]
    parts = [proto((1, proto(*((2, kv) for kv in kvs[:2])))), proto((1, proto(*((2, kv) for kv in kvs[2:]))))]
    parts.append(proto((1, proto((1, header(44)), (4, 5)))))
    packets += talk.answer(settings_frame() + server.answer(1, *parts))
    request, response = pair(history(packets))
    assert request.operations == (EtcdOperation(op="range", key="/registry/pods/"),)
    assert response.revision == 44
    assert [kv.mod_revision for kv in response.keys] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("method", "asked", "operations"),
    [
        (
            "Put",
            put("compact_rev_key", b"9"),
            (EtcdOperation(op="put", key="compact_rev_key", value_bytes=1),),
        ),
        ("DeleteRange", proto((1, KEY)), (EtcdOperation(op="delete", key=KEY),)),
        (
            "Range",
            proto((1, b"\xff\x00"), (2, b"\x00")),
            (EtcdOperation(op="range", key="\\xff\x00", range_end="\0"),),
        ),
    ],
    ids=["put", "delete", "binary-key"],
)
def test_single_operations(method: str, asked: bytes, operations: tuple[EtcdOperation, ...]) -> None:
    request, response = pair(exchanged(KV + method, asked, proto((1, header(6)))))
    assert request.operations == operations
    assert (response.revision, response.succeeded) == (6, None)


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (proto((1, 1), (2, 0), (3, "k"), (4, 5)), ("version", ">", 5)),
        (proto((1, 2), (2, 1), (3, "k"), (5, 6)), ("create", "<", 6)),
        (proto((1, 3), (2, 2), (3, "k"), (6, 7)), ("mod", "!=", 7)),
        (proto((2, 3), (3, "k"), (7, "text")), ("value", "=", "text")),
        (proto((2, 4), (3, "k"), (8, -1)), ("lease", "=", -1)),
        (proto((2, 2), (3, "k")), ("mod", "=", 0)),
    ],
    ids=["version", "create", "mod", "value", "lease", "absent"],
)
def test_guards(compare: bytes, expected: tuple[str, str, int | str]) -> None:
    request, _ = pair(exchanged(f"{KV}Txn", proto((1, compare)), proto((1, header(2)))))
    (found,) = request.compares
    assert (found.target, found.result, found.value) == expected


def test_a_lease_grant_is_a_call_without_keys() -> None:
    request, response = pair(
        exchanged("/etcdserverpb.Lease/LeaseGrant", proto((1, 60)), proto((1, header(3))))
    )
    assert request.operations == ()
    assert response.revision == 3


def test_an_error_has_a_status_and_no_revision() -> None:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    packets = talk.open() + talk.ask(client_start() + client.call(1, f"{KV}Range", proto((1, "k"))))
    error = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")]
    packets += talk.answer(settings_frame() + server.headers(1, error, ends=True))
    _, response = pair(history(packets))
    assert (response.grpc_status, response.revision) == (14, 0)


def test_an_answer_that_was_reset_has_no_status() -> None:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    packets = talk.open() + talk.ask(client_start() + client.call(1, f"{KV}Range", proto((1, "k"))))
    head = server.headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    reset = h2.RstStreamFrame(1, 8).serialize()
    packets += talk.answer(settings_frame() + head + data(1, message(proto((1, header(4))))) + reset)
    _, response = pair(history(packets))
    assert (response.grpc_status, response.revision) == (None, 4)


def test_gzipped_messages_are_unpacked() -> None:
    asked = gzip.compress(txn(KEY, pod_bytes("solo"), 7))
    answered = gzip.compress(proto((1, header(8)), (2, 1)))
    request, response = pair(exchanged(f"{KV}Txn", asked, answered, encoding="gzip"))
    assert request.operations[0].key == KEY
    assert response.revision == 8


def event(kind: int, n: int, previous: bytes = b"") -> tuple[int, bytes]:
    kv = key_value(f"/registry/pods/default/p{n}", 100 + n, b"" if kind else pod_bytes(f"p{n}"))
    return 11, proto((1, kind), (2, kv), *([(3, previous)] if previous else []))


def test_watch_events_come_out_one_by_one() -> None:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    create = proto((1, proto((1, "/registry/pods/"), (2, "/registry/pods0"), (3, 5))))
    asked = client.headers(1, [(":path", WATCH), ("content-type", "application/grpc")])
    into, seen = feed(talk.open() + talk.ask(client_start() + asked + data(1, message(create))))
    (watch,) = seen
    assert isinstance(watch, EtcdRequest)
    assert watch.operations == (
        EtcdOperation(op="watch", key="/registry/pods/", range_end="/registry/pods0"),
    )
    head = server.headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    created = message(proto((1, header(5)), (2, 0), (3, 1)))
    _, seen = feed(talk.answer(settings_frame() + head + data(1, created)), into, first=20)
    assert seen == []
    before = key_value("/registry/pods/default/p3", 90, pod_bytes("p3"))
    two = message(proto((1, header(103)), (2, 6), event(0, 2), event(1, 3, before)))
    one = message(proto((1, header(104)), event(0, 4)))
    _, seen = feed(talk.answer(data(1, two + one[:7]) + data(1, one[7:])), into, first=30)
    found = [o for o in seen if isinstance(o, EtcdWatchEvent)]
    assert [(o.type, o.kv.key[-2:], o.kv.mod_revision, o.watch_id, o.revision) for o in found] == [
        ("PUT", "p2", 102, 6, 103),
        ("DELETE", "p3", 103, 6, 103),
        ("PUT", "p4", 104, 0, 104),
    ]
    assert found[0].kv.object is not None
    assert found[1].kv.object is None
    assert found[1].previous is not None
    assert found[1].previous.object is not None
    assert found[0].sender.role == "etcd"


def conversation() -> tuple[Talk, list[bytes], bytes, bytes]:
    """Many calls at once: the opening, and what each side says."""
    client, server, talk = Side(), Side(), Talk(port=ETCD, client_isn=2**32 - 2000)
    asked, answered = client_start(), settings_frame()
    for stream in range(1, 40, 2):
        key = f"/registry/pods/default/p{stream}"
        asked += client.call(
            stream, f"{KV}Txn", txn(key, pod_bytes(f"p{stream}"), stream), pieces=1 + stream % 3
        )
        answered += server.answer(stream, proto((1, header(stream)), (2, 1)))
    return talk, talk.open(), asked, answered


def told(seen: tuple[Observation, ...]) -> list[tuple[int, str, int]]:
    requests = [(o.stream, o.operations[0].key, 0) for o in seen if isinstance(o, EtcdRequest)]
    responses = [
        (o.stream, o.request.operations[0].key, o.revision) for o in seen if isinstance(o, EtcdResponse)
    ]
    return sorted(requests) + sorted(responses)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_any_segmentation_reordering_and_duplication_gives_the_same_calls(
    data: st.DataObject, seed: int
) -> None:
    talk, packets, asked, answered = conversation()
    chance = random.Random(seed)  # noqa: S311 - which packets, no secret
    for said, to_server in ((asked, True), (answered, False)):
        parts = talk.say(
            said, to_server=to_server, cuts=data.draw(st.sets(st.integers(1, len(said)), max_size=30))
        )
        parts += chance.sample(parts, len(parts) // 2)
        chance.shuffle(parts)
        packets += parts
    found = history(packets)
    keys = [(stream, f"/registry/pods/default/p{stream}") for stream in range(1, 40, 2)]
    assert told(found.observations) == [(*key, 0) for key in keys] + [(*key, key[0]) for key in keys]
    assert found.missing == ()


def test_nothing_comes_from_behind_a_gap() -> None:
    talk, packets, asked, answered = conversation()
    parts = talk.ask(asked, range(400, len(asked), 400))
    lost = parts.pop(5)
    acknowledged = [talk.raw(ACK, to_server=False, at=0)] * tcp.PATIENCE
    found = history([*packets, *parts, *acknowledged, lost, *talk.answer(answered)])
    assert 0 < len(found.observations) < 10
    assert not any(isinstance(o, EtcdResponse) for o in found.observations)
    assert "not captured" in found.missing[0]


def test_a_connection_whose_start_was_not_seen_is_incomplete() -> None:
    talk, packets, asked, answered = conversation()
    late = talk.ask(asked, [500])[1:] + talk.answer(answered)
    for joined in (late, packets + late):
        found = history(joined)
        assert found.observations == ()
        assert not found.connections[0].complete
        assert found.missing


def test_a_value_of_an_unknown_kind_is_told_and_the_rest_is_read() -> None:
    odd = kubernetes("example.org/v1", "Thing", b"")
    found = exchanged(f"{KV}Txn", txn(KEY, odd, 1), proto((1, header(2)), (2, 1)))
    kinds = {type(o) for o in found.observations}
    assert kinds == {EtcdRequest, EtcdResponse, Undecoded}
    assert KEY in found.missing[0]
    assert "'Thing'" in found.missing[0]


@pytest.mark.parametrize(
    "content",
    [b"\x02\x00\x00\x00\x00", message(b"\x0a\x7f"), message(b"x", compressed=True)],
    ids=["prefix", "protobuf", "compression"],
)
def test_a_bad_message_ends_its_own_stream_only(content: bytes) -> None:
    client, talk = Side(), Talk(port=ETCD)
    head = client.headers(1, [(":path", f"{KV}Txn"), ("content-type", "application/grpc")])
    asked = (
        client_start()
        + head
        + data(1, content, ends=True)
        + client.call(3, f"{KV}Txn", proto((1, guard("k", 1))))
    )
    found = history(talk.open() + talk.ask(asked))
    bad, good = sorted(found.observations, key=lambda each: each.stream)
    assert isinstance(bad, Undecoded)
    assert isinstance(good, EtcdRequest)
    assert len(found.missing) == 1


def test_what_is_no_grpc_is_passed_over() -> None:
    client, server, talk = Side(), Side(), Talk(port=ETCD)
    asked = client.headers(1, [(":method", "GET"), (":path", "/metrics")], ends=True)
    packets = talk.open() + talk.ask(client_start() + asked)
    packets += talk.answer(server.headers(1, [(":status", "200")]) + data(1, b"# HELP", ends=True))
    found = history(packets)
    assert (found.observations, found.missing) == ((), ())
