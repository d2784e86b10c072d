from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.model.observation import ApiResponse, Observation, Undecoded, WatchEvent
from kubewitness.wire.http1 import Piece
from kubewitness.wire.spans import Span
from kubewitness.wire.watch import WatchStream
from tests.wire.traffic import (
    STATISTICS,
    Talk,
    chunked,
    feed,
    history,
    pod_bytes,
    proto,
    request,
    response,
    watch_head,
)

PROTOBUF, CBOR = "application/vnd.kubernetes.protobuf;stream=watch", "application/cbor-seq"
Coding = tuple[Callable[[int, str], bytes], str]
Compress = Callable[[list[bytes]], list[bytes]]
WATCH = request("GET", "/api/v1/pods?watch=true&resourceVersion=1")


def line(n: int, kind: str = "ADDED") -> bytes:
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": f"p{n}", "uid": f"ü{n}\n"}}
    return json.dumps({"type": kind, "object": pod}, ensure_ascii=False).encode() + b"\n"


def frame(n: int, kind: str = "ADDED") -> bytes:
    event = proto((1, kind), (2, proto((1, pod_bytes(f"p{n}")))))
    return len(event).to_bytes(4, "big") + event


def item(n: int, kind: str = "ADDED") -> bytes:
    """As Kubernetes writes it: texts as byte strings, and an object of its own within the event."""
    metadata = {b"name": f"p{n}".encode(), b"uid": b"\xff" * n}
    pod = cbor2.CBORTag(55799, {b"kind": b"Pod", b"metadata": metadata})
    return cbor2.dumps(cbor2.CBORTag(55799, {b"type": kind.encode(), b"object": pod}))


ENCODED = pytest.mark.parametrize(
    ("encode", "kind"),
    [(line, "application/json"), (frame, PROTOBUF), (item, CBOR)],
    ids=["json", "protobuf", "cbor"],
)


def opened(content_type: str = "application/json") -> tuple[Talk, list[bytes]]:
    talk = Talk()
    return talk, talk.open() + talk.ask(WATCH) + talk.answer(watch_head(content_type))


def opened_in_gzip() -> tuple[Talk, list[bytes]]:
    talk = Talk()
    head = watch_head(PROTOBUF).replace(b"Transfer", b"Content-Encoding: gzip\r\nTransfer")
    return talk, talk.open() + talk.ask(WATCH) + talk.answer(head)


def events(seen: list[Observation] | tuple[Observation, ...]) -> list[tuple[int, str, str]]:
    return [(o.position, o.type, o.object["metadata"]["name"]) for o in seen if isinstance(o, WatchEvent)]


@ENCODED
def test_an_event_comes_out_with_its_last_byte_while_the_watch_is_open(encode: object, kind: str) -> None:
    assert callable(encode)
    talk, packets = opened(kind)
    into, seen = feed(packets)
    assert [type(o) for o in seen[1:]] == [ApiResponse]
    wire = chunked([encode(1)], last=False)
    parts = talk.answer(wire, range(1, len(wire)))
    _, early = feed(parts[:-3], into, first=100)
    assert early == []
    _, seen = feed(parts[-3:-2], into, first=900)
    assert events(seen) == [(1, "ADDED", "p1")]
    assert (seen[0].first_frame, seen[0].last_frame) == (100 + wire.index(b"\r\n") + 2, 900)
    assert seen[0].receiver.role == "kube-scheduler"


@ENCODED
def test_two_thousand_events_split_at_odd_places(encode: object, kind: str) -> None:
    assert callable(encode)
    talk, packets = opened(kind)
    body = b"".join(encode(n) for n in range(2000))
    wire = chunked([body[at : at + 777] for at in range(0, len(body), 777)])
    packets += talk.answer(wire, range(0, len(wire), 1301))
    found = history(packets)
    assert events(found.observations) == [(n + 1, "ADDED", f"p{n}") for n in range(2000)]
    assert found.missing == ()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), coding=st.sampled_from([(frame, PROTOBUF), (line, "application/json"), (item, CBOR)]))
def test_borders_of_chunks_and_segments_mean_nothing(data: st.DataObject, coding: Coding) -> None:
    encode, kind = coding
    body = b"".join(encode(n, kind) for n, kind in enumerate(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]))
    borders = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8)))
    chunks = [body[low:high] for low, high in zip([0, *borders], [*borders, len(body)], strict=True)]
    wire = chunked(chunks, last=data.draw(st.booleans()))
    talk, packets = opened(kind)
    packets += talk.answer(wire, data.draw(st.sets(st.integers(1, len(wire)), max_size=12)))
    expected = [(1, "ADDED", "p0"), (2, "MODIFIED", "p1"), (3, "DELETED", "p2"), (4, "BOOKMARK", "p3")]
    assert events(history(packets).observations) == expected


def test_the_connection_serves_others_when_a_watch_has_ended() -> None:
    talk, packets = opened()
    packets += talk.answer(chunked([line(1)]))
    packets += talk.ask(request("GET", "/a")) + talk.answer(response(200, b'{"a": 1}'))
    packets += talk.ask(WATCH) + talk.answer(watch_head() + chunked([line(5)], last=False))
    found = history(packets)
    assert events(found.observations) == [(1, "ADDED", "p1"), (1, "ADDED", "p5")]
    assert [o.stream for o in found.observations if isinstance(o, WatchEvent)] == [1, 3]


def test_an_error_event_carries_its_status() -> None:
    talk, packets = opened()
    status = b'{"type":"ERROR","object":{"kind":"Status","code":410,"metadata":{}}}\n'
    (found,) = [
        o for o in history(packets + talk.answer(chunked([status]))).observations if isinstance(o, WatchEvent)
    ]
    assert (found.type, found.object["code"]) == ("ERROR", 410)


def test_a_refused_watch_is_an_ordinary_answer() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(WATCH) + talk.answer(response(410, b'{"kind": "Status", "code": 410}'))
    _, found = history(packets).observations
    assert isinstance(found, ApiResponse)
    assert (found.status, found.body) == (410, {"kind": "Status", "code": 410})


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"nonsense\n", "wanted JSON"),
        (b'{"type": "ADDED"}\n', "wanted a watch event"),
        (b"[]\n", "wanted a watch event"),
    ],
    ids=["no-json", "no-object", "list"],
)
def test_one_bad_event_is_told_and_the_next_is_read(bad: bytes, why: str) -> None:
    talk, packets = opened()
    found = history(packets + talk.answer(chunked([line(1) + bad + line(3)])))
    assert events(found.observations) == [(1, "ADDED", "p1"), (3, "ADDED", "p3")]
    (undecoded,) = [o for o in found.observations if isinstance(o, Undecoded)]
    assert why in undecoded.why
    assert why in found.missing[0]


@pytest.mark.parametrize(
    ("content_type", "extra"),
    [("application/yaml", ""), ("application/cbor", ""), ("application/json", "Content-Encoding: br\r\n")],
    ids=["yaml", "one-cbor", "brotli"],
)
def test_a_watch_that_cannot_be_read_is_told_once(content_type: str, extra: str) -> None:
    talk = Talk()
    head = watch_head(content_type).replace(b"Transfer", extra.encode() + b"Transfer")
    packets = talk.open() + talk.ask(WATCH) + talk.answer(head + chunked([b"x" * 50, b"y" * 50], last=False))
    found = history(packets)
    assert [type(o) for o in found.observations[1:]] == [ApiResponse, Undecoded]
    assert "cannot be read" in found.missing[0]


def test_bad_events_in_cbor_are_told_and_the_next_is_read() -> None:
    talk, packets = opened(CBOR)
    bad = [cbor2.dumps(each) for each in ({b"type": b"ADDED"}, -1, {b"object": {}, b"type": 1})]
    found = history(packets + talk.answer(chunked([item(1), *bad, item(5)])))
    assert events(found.observations) == [(1, "ADDED", "p1"), (5, "ADDED", "p5")]
    assert [isinstance(each, Undecoded) for each in found.observations].count(True) == 3


DEEP = cbor2.dumps({b"type": b"ADDED", b"object": {}})[:-1] + b"\xa1\x41a" + b"\x81" * 1000 + b"\x00"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (DEEP, "nested more than 200"),
        (b"\xa1\x00\x00", "is no string"),
        (b"\x41\xff", "wanted a watch event"),
    ],
    ids=["deep", "key", "text"],
)
def test_an_item_that_only_means_nothing_costs_itself(bad: bytes, why: str) -> None:
    talk, packets = opened(CBOR)
    found = history(packets + talk.answer(chunked([item(1) + bad + item(3)])))
    assert events(found.observations) == [(1, "ADDED", "p1"), (3, "ADDED", "p3")]
    assert len(found.missing) == 1
    assert why in found.missing[0]


#: By what of each kind of watch it is lost where the next event begins.
DAMAGE = {
    "json": (line, "application/json", b"x" * ((64 << 20) + 5), "larger than 67108864 bytes"),
    "protobuf": (frame, PROTOBUF, b"\xff\xff\xff\xff", "larger than 67108864 bytes"),
    "cbor-break": (item, CBOR, b"\xff", "no end of its own"),
    "cbor-reserved": (item, CBOR, b"\x1c", "begins no CBOR"),
    "cbor-length": (item, CBOR, b"\x5b\x7f" + bytes(7), "more than 67108864"),
}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("together", [True, False])
def test_damage_ends_its_watch_and_not_the_connection(what: str, together: bool) -> None:
    encode, kind, bad, why = DAMAGE[what]
    talk, packets = opened(kind)
    parts = [encode(1), bad, encode(2)]
    packets += talk.answer(
        chunked([b"".join(parts)] if together else parts), range(0, len(bad) + 999, 60_000)
    )
    packets += talk.ask(request("GET", "/a")) + talk.answer(response(200, b'{"a": 1}'))
    packets += talk.ask(WATCH) + talk.answer(watch_head(kind) + chunked([encode(5)], last=False))
    found = history(packets)
    assert events(found.observations) == [(1, "ADDED", "p1"), (1, "ADDED", "p5")]
    assert [each.status for each in found.observations if isinstance(each, ApiResponse)] == [200] * 3
    (undecoded,) = [each for each in found.observations if isinstance(each, Undecoded)]
    assert undecoded.stream == 1
    assert undecoded.why.startswith("the watch of /api/v1/pods is not read behind event 1: ")
    assert why in undecoded.why
    assert found.missing == (f"packet {undecoded.last_frame} (connection 1): {undecoded.why}",)
    assert found.connections[0].complete


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(min_size=1, max_size=60), kind=st.sampled_from(["application/json", PROTOBUF, CBOR]))
def test_no_watch_can_end_its_connection(noise: bytes, kind: str) -> None:
    talk, packets = opened(kind)
    packets += talk.answer(chunked([noise]))
    packets += talk.ask(request("GET", "/a")) + talk.answer(response(200, b'{"a": 1}'))
    last = history(packets).observations[-1]
    assert isinstance(last, ApiResponse)
    assert last.request.path == "/a"


@pytest.mark.parametrize(("note", "ends"), [("true", True), ("false", False), (None, False)])
def test_a_streaming_list_ends_with_a_bookmark_that_says_so(note: str | None, ends: bool) -> None:
    talk, packets = opened()
    annotations = {"k8s.io/initial-events-end": note} if note else None
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"annotations": annotations}}}
    found = history(packets + talk.answer(chunked([line(1), json.dumps(bookmark).encode() + b"\n"])))
    told = [each.ends_list for each in found.observations if isinstance(each, WatchEvent)]
    assert told == [False, ends]


def gzipped(events: list[bytes]) -> list[bytes]:
    """One gzip member for each event, as the API server writes them."""
    return [gzip.compress(event, mtime=0) for event in events]


def flushed(events: list[bytes]) -> list[bytes]:
    """One gzip member for all events, flushed behind each, as a proxy may write them."""
    deflater = zlib.compressobj(wbits=31)
    return [deflater.compress(event) + deflater.flush(zlib.Z_SYNC_FLUSH) for event in events]


@pytest.mark.parametrize("compressed", [gzipped, flushed])
def test_a_gzipped_watch_gives_each_event_when_it_is_flushed(compressed: Compress) -> None:
    talk, packets = opened_in_gzip()
    into, _ = feed(packets)
    for n, part in enumerate(compressed([frame(n) for n in range(5)])):
        cuts = talk.answer(chunked([part], last=False), [1, 9, len(part) // 2])
        _, seen = feed(cuts, into, first=100 * (n + 1))
        assert events(seen) == [(n + 1, "ADDED", f"p{n}")]
        assert 100 * (n + 1) <= seen[0].first_frame <= seen[0].last_frame < 100 * (n + 1) + len(cuts)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_gzipped_watch_may_be_cut_anywhere(data: st.DataObject) -> None:
    talk, packets = opened_in_gzip()
    body = b"".join(gzipped([frame(n) for n in range(6)]))
    borders = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8)))
    wire = chunked([body[low:high] for low, high in zip([0, *borders], [*borders, len(body)], strict=True)])
    packets += talk.answer(wire, data.draw(st.sets(st.integers(1, len(wire)), max_size=12)))
    found = history(packets)
    assert events(found.observations) == [(n + 1, "ADDED", f"p{n}") for n in range(6)]
    assert found.missing == ()


def test_a_damaged_gzipped_watch_is_told() -> None:
    talk, packets = opened_in_gzip()
    good = gzipped([frame(0)])[0]
    found = history(packets + talk.answer(chunked([good, b"\xff" * 40], last=False)))
    assert events(found.observations) == [(1, "ADDED", "p0")]
    assert "is not read behind event 1: gzip data is damaged" in found.missing[0]
    assert found.connections[0].complete


def test_events_before_damaged_gzip_are_told() -> None:
    talk, packets = opened_in_gzip()
    good = b"".join(gzipped([frame(0), frame(1)]))
    packets += talk.answer(chunked([good + b"\xff" * 40]))
    found = history(packets + talk.ask(request("GET", "/a")) + talk.answer(response(200)))
    assert events(found.observations) == [(1, "ADDED", "p0"), (2, "ADDED", "p1")]
    assert isinstance(found.observations[-1], ApiResponse)
    assert len(found.missing) == 1


def test_a_watch_that_ends_within_an_event_is_told() -> None:
    talk, packets = opened()
    found = history(packets + talk.answer(chunked([line(1) + line(2)[:-5]])))
    assert events(found.observations) == [(1, "ADDED", "p1")]
    assert "ended within an event" in found.missing[0]


def test_a_gzipped_watch_that_ends_within_a_member_is_told() -> None:
    talk, packets = opened_in_gzip()
    found = history(packets + talk.answer(chunked([b"".join(gzipped([frame(1), frame(2)]))[:-30]])))
    assert events(found.observations) == [(1, "ADDED", "p1")]
    assert "ended within an event" in found.missing[0]


def test_a_gap_stops_the_watch_and_says_so() -> None:
    talk, packets = opened()
    before = talk.answer(chunked([line(1)], last=False))
    talk.answer(chunked([line(2)], last=False))
    after = talk.answer(chunked([line(3)], last=False))
    found = history([*packets, *before, *after, talk.acknowledge(to_server=True), *after])
    assert events(found.observations) == [(1, "ADDED", "p1")]
    assert "not captured" in found.missing[0]


def test_a_snapshot_may_be_taken_while_the_watch_goes_on() -> None:
    talk, packets = opened()
    into, _ = feed(packets + talk.answer(chunked([line(1)], last=False)))
    first = into.finish(STATISTICS)
    feed(talk.answer(chunked([line(2)], last=False)), into, first=50)
    second = into.finish(STATISTICS)
    assert len(second.observations) == len(first.observations) + 1
    assert second.observations[: len(first.observations)] == first.observations


def test_the_cost_of_an_event_does_not_grow_with_the_watch() -> None:
    piece = Piece(line(1), Span(1, 1, 1, 1))

    def cost(stream: WatchStream, count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            stream.append(piece)
            assert sum(1 for _ in stream.frames()) == 1
        return time.process_time() - start

    stream = WatchStream("application/json", "")
    early = min(cost(stream, 2000) for _ in range(5))
    cost(stream, 40_000)
    late = min(cost(stream, 2000) for _ in range(5))
    assert late < 3 * early  # quadratic copying would be 20 times
