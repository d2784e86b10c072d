from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.model.history import CaptureStatistics
from kubewitness.model.observation import (
    UNKNOWN,
    ApiRequest,
    ApiResponse,
    Endpoint,
    EtcdRequest,
    Speaker,
    Undecoded,
    WatchEvent,
)
from kubewitness.wire.decoder import Decoder
from tests.wire.grpc_traffic import Side, client_start, header, txn
from tests.wire.traffic import (
    API,
    ETCD,
    STATISTICS,
    Talk,
    chunked,
    decoder,
    feed,
    history,
    pod_bytes,
    proto,
    request,
    response,
    watch_head,
)


@pytest.mark.parametrize(
    ("port", "said", "protocol", "missing"),
    [
        (API, request("GET", "/a"), "http/1.1", ""),
        (API, b"", "empty", ""),
        (API, b"PO", "unknown", ""),
        (API, b"SSH-2.0-x\r\n", "unknown", "unknown) is not decoded on a port of api"),
        (API, client_start(), "h2", ""),
        (ETCD, request("GET", "/health"), "http/1.1", ""),
        (ETCD, client_start(), "h2", ""),
        (10250, request("GET", "/pods"), "http/1.1", ""),
        (10250, b"\x00\x01\x02", "unknown", ""),
    ],
    ids=["api", "silent", "begun", "ssh", "h2-api", "health", "etcd", "kubelet", "binary"],
)
def test_the_protocol_is_told_from_the_first_bytes(
    port: int, said: bytes, protocol: str, missing: str
) -> None:
    talk = Talk(port=port)
    found = history(talk.open() + (talk.ask(said, range(len(said))) if said else []))
    (connection,) = found.connections
    assert connection.protocol == protocol
    assert len(found.observations) == (port == API and protocol == "http/1.1")
    assert (missing in found.missing[0]) if missing else not found.missing


def test_a_server_that_speaks_first_is_waited_for_and_then_given_up() -> None:
    talk = Talk(port=10250)
    (connection,) = history(talk.open() + talk.answer(b"220 hello\r\n") + talk.ask(b"EHLO x\r\n")).connections
    assert connection.protocol == "unknown"
    talk = Talk(port=10250)
    found = history(talk.open() + talk.answer(b"x" * 70_000, [40_000]) + talk.ask(request("GET", "/a")))
    assert found.connections[0].protocol == "unknown"


class Sockets:
    """A table of sockets that knows nobody until it is filled."""

    def __init__(self) -> None:
        self.names: dict[int, Speaker] = {}

    def __call__(self, local: Endpoint, _remote: Endpoint, _opened_ns: int) -> Speaker:
        return self.names.get(local.port, UNKNOWN)


def test_speakers_found_later_are_named_in_every_observation() -> None:
    sockets, talk = Sockets(), Talk()
    into = Decoder(frozenset({API}), frozenset({ETCD}), sockets)
    opening = talk.open() + talk.ask(request("GET", "/api/v1/pods?watch=1"))
    _, (early,) = feed(opening, into)
    assert (early.sender, early.receiver) == (UNKNOWN, UNKNOWN)
    assert into.finish(STATISTICS).observations == (early,)
    sockets.names = {40000: Speaker("kubelet/n1", 7), API: Speaker("relay", 8)}
    event = b'{"type":"ADDED","object":{"kind":"Pod"}}\n'
    feed(talk.answer(watch_head() + chunked([event])), into, first=10)
    found = into.finish(STATISTICS)
    asked, answered, watched = found.observations
    assert isinstance(answered, ApiResponse)
    assert isinstance(watched, WatchEvent)
    assert (asked.sender.component, asked.receiver.component) == ("kubelet/n1", "relay")
    assert (watched.sender.component, watched.receiver.component) == ("relay", "kubelet/n1")
    assert asked == answered.request == watched.request
    assert found.connections[0].client_process == Speaker("kubelet/n1", 7)
    assert found == into.finish(STATISTICS)


def test_kernel_drops_are_missing() -> None:
    dropped = CaptureStatistics(packets=10, dropped=3, interfaces=("lo",))
    assert decoder().finish(dropped).missing == ("the kernel dropped 3 packets besides 10",)


def test_everything_is_in_the_order_of_its_last_packet() -> None:
    one, two = Talk(client_port=1111), Talk(client_port=2222)
    slow = one.ask(request("POST", "/slow", b'{"a": 1}'), [30])
    fast = two.ask(request("GET", "/fast"))
    found = history([*one.open(), *two.open(), slow[0], *fast, slow[1]])
    assert [o.path for o in found.observations if isinstance(o, ApiRequest)] == ["/fast", "/slow"]


def traffic() -> list[bytes]:
    api, etcd = Talk(), Talk(port=ETCD, client_port=41000)
    client, server = Side(), Side()
    packets = api.open() + etcd.open()
    body = pod_bytes("p")
    packets += api.ask(
        request("POST", "/api/v1/namespaces/d/pods", body, "application/vnd.kubernetes.protobuf"), [50]
    )
    packets += etcd.ask(
        client_start() + client.call(1, "/etcdserverpb.KV/Txn", txn("/registry/pods/d/p", body, 0)), [90]
    )
    packets += etcd.answer(server.answer(1, proto((1, header(2)), (2, 1))), [20])
    packets += api.answer(response(201, body, "application/vnd.kubernetes.protobuf"), [70])
    packets += api.ask(request("GET", "/api/v1/pods?watch=1"))
    packets += api.answer(watch_head() + chunked([b'{"type":"ADDED","object":{}}\n'] * 3), [80, 120])
    return packets + api.close() + etcd.close()


CLOSING = 6  # three packets of each of its two connections


def test_the_whole_of_a_small_cluster() -> None:
    found = history(traffic())
    kinds = [type(o).__name__ for o in found.observations]
    assert kinds == [
        "ApiRequest", "EtcdRequest", "EtcdResponse", "ApiResponse", "ApiRequest",
        "ApiResponse", "WatchEvent", "WatchEvent", "WatchEvent",
    ]  # fmt: skip
    assert isinstance(found.observations[1], EtcdRequest)
    assert found.missing == ()
    assert all(each.complete for each in found.connections)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 12))
def test_damaged_traffic_never_raises_and_never_invents(seed: int, flips: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - which bytes, no secret
    packets = [bytearray(each) for each in traffic()]
    for _ in range(flips):
        damaged = chance.choice(packets)
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged) + 1) :]
    found = history(bytes(each) for each in packets)
    assert len(found.observations) <= len(packets)
    assert all(isinstance(o, Undecoded) or o.connection for o in found.observations)


# The packets that open and close connections stay: a loss after which a connection shows nothing more leaves
# no gap, and only the kernel's counter of drops can tell it.
@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(6, len(traffic()) - CLOSING - 1), min_size=1, max_size=4))
def test_whoever_loses_packets_sees_a_part_of_the_truth_and_says_so(lost: set[int]) -> None:
    packets = traffic()
    whole = {describe(o) for o in history(packets).observations}
    found = history(each for index, each in enumerate(packets) if index not in lost)
    seen = {describe(o) for o in found.observations if not isinstance(o, Undecoded)}
    assert seen <= whole
    assert seen == whole or found.missing


def describe(seen: object) -> str:
    if isinstance(seen, ApiRequest | ApiResponse):
        return f"{type(seen).__name__} {seen.stream} {seen.body_sha256}"
    if isinstance(seen, WatchEvent):
        return f"event {seen.position} {seen.object}"
    return type(seen).__name__
