"""Reassembly, seen through the requests that come out of it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.model.observation import ApiRequest, Observation
from kubewitness.wire import tcp
from tests.wire.traffic import ACK, FIN, RST, STATISTICS, Talk, decoder, feed, history, request

BODIES = [b'{"n": %d, "pad": "%s"}' % (n, b"x" * (n * 37 % 211)) for n in range(20)]
WIRE = b"".join(request("POST", f"/api/v1/namespaces/ns/pods?n={n}", body) for n, body in enumerate(BODIES))


def asked(seen: list[Observation] | tuple[Observation, ...]) -> list[tuple[str, object]]:
    return [(each.query["n"], each.body) for each in seen if isinstance(each, ApiRequest)]


EXPECTED = [(str(n), {"n": n, "pad": "x" * (n * 37 % 211)}) for n in range(20)]


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.sets(st.integers(1, len(WIRE) - 1), max_size=60),
    isn=st.sampled_from([0, 1000, 2**32 - 1, 2**32 - 500, 2**31 - 5]),
    seed=st.integers(0, 2**16),
)
def test_any_segmentation_reordering_and_duplication_gives_the_same_messages(
    cuts: set[int], isn: int, seed: int
) -> None:
    talk = Talk(client_isn=isn)
    chance = random.Random(seed)  # noqa: S311 - which packets, no secret
    opening, segments = talk.open(), talk.ask(WIRE, cuts)
    segments += chance.sample(segments, len(segments) // 3)
    for low, high in [sorted(chance.sample(range(len(WIRE)), 2)) for _ in range(5)]:
        segments.append(talk.raw(ACK, WIRE[low:high], to_server=True, at=low))  # overlaps any border
    chance.shuffle(segments)
    found = history([*opening, *segments, talk.acknowledge(to_server=False)])
    assert sorted(asked(found.observations), key=lambda each: int(each[0])) == EXPECTED
    assert found.missing == ()
    assert found.connections[0].bytes_to_server == len(WIRE)
    assert [o.last_frame for o in found.observations] == sorted(o.last_frame for o in found.observations)


def test_messages_come_out_with_their_last_packet() -> None:
    talk = Talk()
    body = request("POST", "/api/v1/namespaces/ns/pods?n=1", b'{"a": 1}')
    first, second = talk.ask(body, [20])
    into, seen = feed([*talk.open(), first])
    assert seen == []
    _, seen = feed([second], into, first=9)
    assert [(o.first_frame, o.last_frame, o.started_ns, o.time_ns) for o in seen] == [(4, 9, 4000, 9000)]


def test_a_message_behind_a_hole_comes_with_the_packet_that_fills_it() -> None:
    talk = Talk()
    opening = talk.open()
    first = talk.ask(request("GET", "/api/v1/pods?n=1"))
    second = talk.ask(request("GET", "/api/v1/pods?n=2"))
    into, seen = feed([*opening, *second])
    assert seen == []
    _, seen = feed(first, into, first=5)
    spans = [(o.first_frame, o.last_frame) for o in seen]
    assert asked(seen) == [("1", None), ("2", None)]
    assert spans == [(5, 5), (4, 5)]


def test_a_hole_that_was_acknowledged_is_a_gap_and_nothing_comes_from_behind_it() -> None:
    talk = Talk()
    opening = talk.open()
    segments = talk.ask(WIRE, range(100, len(WIRE), 100))
    lost = segments.pop(7)
    acknowledged = [talk.acknowledge(to_server=False)] * tcp.PATIENCE
    found = history([*opening, *segments, *acknowledged, lost])
    assert asked(found.observations) == EXPECTED[: len(asked(found.observations))]
    assert len(asked(found.observations)) < 8
    (connection,) = found.connections
    assert not connection.complete
    assert "offset 700" in connection.why_incomplete
    assert "not captured" in connection.why_incomplete
    assert [sentence for sentence in found.missing if "connection 1" in sentence]


def test_bytes_may_come_later_than_their_acknowledgement() -> None:
    talk = Talk()
    opening = talk.open()
    segments = talk.ask(WIRE, range(100, len(WIRE), 100))
    late = segments.pop(7)
    acknowledged = [talk.acknowledge(to_server=False)] * (tcp.PATIENCE - 1)
    into, _ = feed([*opening, *segments, *acknowledged])
    assert "received but not captured" in into.finish(STATISTICS).missing[0]
    feed([late], into, first=1000)
    found = into.finish(STATISTICS)
    assert asked(found.observations) == EXPECTED
    assert found.missing == ()


def test_a_hole_with_bytes_waiting_behind_it_is_missing_until_it_is_filled() -> None:
    talk = Talk()
    opening, (first, second) = talk.open(), talk.ask(request("GET", "/api/v1/pods?n=1"), [10])
    into, _ = feed([*opening, second])
    before = into.finish(STATISTICS)
    assert not before.connections[0].complete
    assert "never arrived" in before.missing[0]
    feed([first], into, first=10)
    after = into.finish(STATISTICS)
    assert after.missing == ()
    assert asked(after.observations) == [("1", None)]


def test_a_reset_behind_bytes_that_were_not_captured_is_a_gap() -> None:
    talk = Talk()
    opening = talk.open()
    talk.ask(b"GET /lost HTTP/1.1\r\n\r\n")
    found = history([*opening, talk.raw(RST, to_server=True, at=talk.sent[True])])
    assert not found.connections[0].complete
    assert found.missing


def test_keep_alive_probes_and_window_probes_change_nothing() -> None:
    talk = Talk()
    opening, first = talk.open(), talk.ask(request("GET", "/api/v1/pods?n=1"))
    probe = talk.raw(ACK, b"\0", to_server=True, at=talk.sent[True] - 1)
    empty = talk.raw(ACK, to_server=True, at=talk.sent[True] - 1)
    second = talk.ask(request("GET", "/api/v1/pods?n=2"))
    found = history([*opening, *first, probe, empty, *second])
    assert asked(found.observations) == [("1", None), ("2", None)]
    assert found.connections[0].complete


def test_a_reused_port_is_a_new_connection() -> None:
    packets = []
    for n, isn in enumerate([1000, 900_000, 2**32 - 3], 1):
        talk = Talk(client_isn=isn, server_isn=isn + 77)
        packets += talk.open() + talk.ask(request("GET", f"/api/v1/pods?n={n}"))
        packets += talk.close() if n == 1 else []
    found = history(packets)
    assert asked(found.observations) == [("1", None), ("2", None), ("3", None)]
    assert [o.connection for o in found.observations] == [1, 2, 3]
    assert [o.stream for o in found.observations] == [1, 1, 1]
    assert all(each.complete for each in found.connections)


def test_a_syn_that_is_sent_again_opens_nothing_new() -> None:
    talk = Talk()
    opening = talk.open()
    found = history([opening[0], opening[0], opening[1], *opening[1:], *talk.ask(request("GET", "/api?n=1"))])
    assert len(found.connections) == 1
    assert asked(found.observations) == [("1", None)]


def test_a_lost_syn_is_made_good_by_its_answer() -> None:
    talk = Talk()
    found = history([*talk.open()[1:], *talk.ask(request("GET", "/api?n=1"))])
    assert asked(found.observations) == [("1", None)]
    assert found.connections[0].syn_seen


def test_a_connection_joined_midway_is_incomplete_and_not_decoded() -> None:
    talk = Talk()
    talk.open()
    found = history(talk.ask(request("GET", "/api/v1/pods?n=1")))
    (connection,) = found.connections
    assert found.observations == ()
    assert not connection.complete
    assert not connection.syn_seen
    assert connection.server.port == 8080
    assert connection.protocol == "unknown"
    assert "before the capture" in found.missing[0]


def test_a_midway_connection_of_others_is_listed_but_not_missed() -> None:
    talk = Talk(port=22, client_port=50000)
    found = history(talk.answer(b"ssh data"))
    assert found.connections[0].server.port == 22
    assert found.missing == ()


def test_a_lost_answer_to_a_syn_is_told() -> None:
    talk = Talk()
    opening = talk.open()
    found = history([opening[0], opening[2], *talk.ask(request("GET", "/a?n=1")), *talk.answer(b"HTTP/1.1 ")])
    assert asked(found.observations) == [("1", None)]
    assert "answer was not captured" in found.missing[0]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["in-order", "fin-first"])
def test_a_fin_ends_the_stream_where_it_stands(order: list[int]) -> None:
    talk = Talk()
    opening, data = talk.open(), talk.ask(request("GET", "/api?n=1"))
    fin = talk.raw(FIN | ACK, to_server=True, at=talk.sent[True])
    tail = [[*data, fin][index] for index in order]
    talk.sent[True] += 1
    behind = talk.raw(ACK, request("GET", "/api?n=2"), to_server=True, at=talk.sent[True])
    found = history([*opening, *tail, talk.acknowledge(to_server=False), behind])
    assert asked(found.observations) == [("1", None)]
    assert found.connections[0].complete


def test_a_refused_connection_is_empty_and_complete() -> None:
    talk = Talk()
    client, server = talk.ends(to_server=True)
    refusal = talk.raw(RST | ACK, to_server=False, at=-talk.server_isn - 1)
    found = history([talk.open()[0], refusal])
    assert (found.connections[0].client, found.connections[0].server) == (client, server)
    assert found.connections[0].protocol == "empty"
    assert found.missing == ()


def test_what_waits_out_of_order_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_WAITING", 5000)
    talk, into = Talk(), decoder()
    opening, segments = talk.open(), talk.ask(b"x" * 20_000, range(1000, 20_000, 1000))
    feed([*opening, *segments[1:]], into)
    found = into.finish(STATISTICS)
    assert "5000 later bytes" in found.connections[0].why_incomplete


def test_connections_whose_ports_mirror_each_other_are_kept_apart() -> None:
    one, two = Talk(client_port=50000), Talk(client_port=50001)
    mixed = [p for pair in zip(one.open(), two.open(), strict=True) for p in pair]
    parts_one, parts_two = one.ask(WIRE, range(50, len(WIRE), 50)), two.ask(WIRE, range(50, len(WIRE), 50))
    mixed += [p for pair in zip(parts_one, parts_two, strict=True) for p in pair]
    found = history(mixed)
    for number in (1, 2):
        assert asked([o for o in found.observations if o.connection == number]) == EXPECTED
    assert all(a.last_frame <= b.last_frame for a, b in pairwise(found.observations))


def test_ipv6_and_syn_flags_tell_the_server() -> None:
    talk = Talk(ip="::1", port=39999, client_port=8080)
    found = history(talk.open())
    assert found.connections[0].server.port == 39999
    assert str(found.connections[0].client) == "[::1]:8080"


def test_bytes_that_were_sent_twice_and_differ_are_told() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/api/v1/pods?n=1"))
    again = talk.raw(ACK, b"PUT /", to_server=True, at=0)
    found = history([*packets, again, *talk.ask(request("GET", "/api/v1/pods?n=2"))])
    assert len(asked(found.observations)) == 1
    assert "bytes to the server from offset 0 on were sent twice, and differ" in found.missing[0]


@pytest.mark.parametrize("late", [b"GET /api/v1/po", b"GET /api/v1/pods?n="])
def test_bytes_that_were_sent_again_as_they_were_change_nothing(late: bytes) -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/api/v1/pods?n=1"), [5, 9])
    again = talk.raw(ACK, late, to_server=True, at=0)
    found = history([*packets, again, *talk.ask(request("GET", "/api/v1/pods?n=2"))])
    assert [name for name, _ in asked(found.observations)] == ["1", "2"]
    assert found.missing == ()


def test_what_waits_behind_a_hole_must_not_differ_from_what_fills_it() -> None:
    talk = Talk()
    whole = request("GET", "/api/v1/pods?n=1")
    ahead = talk.raw(ACK, b"XXXX" + whole[14:], to_server=True, at=10)
    found = history([*talk.open(), ahead, talk.raw(ACK, whole[:14], to_server=True, at=0)])
    assert asked(found.observations) == []
    assert "sent twice, and differ" in found.missing[0]


def test_a_packet_that_the_capture_cut_short_is_a_gap() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("POST", "/api/v1/namespaces/d/pods", b"x" * 500))
    packets[-1] = packets[-1][:200]
    found = history(packets)
    assert found.observations == ()
    assert "the capture left out" in found.missing[0]
