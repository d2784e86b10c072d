from __future__ import annotations

import gzip
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.model.observation import ApiRequest, ApiResponse, Observation, Undecoded
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.http1 import End, Head, MessageReader, Piece, Trailers
from kubewitness.wire.spans import Span
from tests.wire.traffic import RST, Talk, chunked, feed, history, request, response

SPAN = Span(1, 1, 1, 1)


def answers(seen: list[Observation] | tuple[Observation, ...]) -> list[tuple[str, int, object]]:
    return [(o.request.path, o.status, o.body) for o in seen if isinstance(o, ApiResponse)]


def parts(wire: bytes, answered: str = "", *, close: bool = False) -> list[Head | Piece | Trailers | End]:
    reader = MessageReader()
    reader.append(wire, SPAN)
    if close:
        reader.close()
    found = []
    while (part := reader.next(answered)) is not None:
        found.append(part)
    return found


def exchange(method: str, answer: bytes, *, closes: bool = False) -> tuple[Observation, ...]:
    talk = Talk()
    packets = talk.open() + talk.ask(request(method, "/api/v1/nodes/n")) + talk.answer(answer)
    return history(packets + (talk.close() if closes else [])).observations


def test_pipelined_requests_are_answered_in_order() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(b"".join(request("GET", f"/a/{n}") for n in range(5)))
    packets += talk.answer(b"".join(response(400 + n, b'{"n": %d}' % n) for n in range(5)))
    found = history(packets)
    assert answers(found.observations) == [(f"/a/{n}", 400 + n, {"n": n}) for n in range(5)]
    assert [o.stream for o in found.observations] == [1, 2, 3, 4, 5] * 2


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), data=st.data())
def test_chunks_and_segments_may_be_cut_anywhere(sizes: list[int], data: st.DataObject) -> None:
    body = b'{"pad": "' + b"y" * sum(sizes) + b'"}'
    chunks, at = [], 0
    for size in sizes:
        chunks.append(body[at : at + size])
        at += size
    chunks.append(body[at:])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = (head + chunked(chunks)) * 2
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/a") + request("GET", "/b"))
    packets += talk.answer(wire, data.draw(st.sets(st.integers(1, len(wire)), max_size=20)))
    found = history(packets)
    assert answers(found.observations) == [(p, 200, {"pad": "y" * sum(sizes)}) for p in ("/a", "/b")]
    assert found.missing == ()


def test_chunk_extensions_and_trailers_are_passed_over() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = head + b'3;x=y\r\n{"a\r\n4 \r\n": 1\r\n1\r\n}\r\n0\r\nX-Trailer: 1\r\nOther: 2\r\n\r\n'
    assert answers(exchange("GET", wire)) == [("/api/v1/nodes/n", 200, {"a": 1})]


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    wire = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": 1}'
    assert answers(exchange("GET", wire)) == []
    assert answers(exchange("GET", wire, closes=True)) == [("/api/v1/nodes/n", 200, {"a": 1})]


def test_a_body_that_a_reset_cuts_off_is_no_message() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/a"))
    packets += talk.answer(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": 1}')
    packets.append(talk.raw(RST, to_server=False, at=talk.sent[False]))
    found = history(packets)
    assert answers(found.observations) == []
    assert found.connections[0].complete


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n"),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + response(200)),
    ],
    ids=["head", "no-content", "not-modified", "interim"],
)
def test_answers_without_a_body_leave_the_next_one_alone(method: str, answer: bytes) -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request(method, "/a") + request("GET", "/b"))
    packets += talk.answer(answer + response(200, b'{"b": 1}'))
    assert answers(history(packets).observations)[1] == ("/b", 200, {"b": 1})


def test_what_follows_an_upgrade_is_not_read() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/api/v1/namespaces/n/pods/p/exec"))
    packets += talk.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
    packets += talk.ask(b"\x81\x85????GET / HTTP/1.1\r\n\r\n")
    found = history(packets)
    assert [o.status for o in found.observations if isinstance(o, ApiResponse)] == [101]
    assert len(found.observations) == 2
    assert found.connections[0].upgraded_to == "websocket"
    assert found.missing == ()


def test_a_gzipped_body_is_unpacked() -> None:
    plain = b'{"a": "' + b"z" * 500 + b'"}'
    answer = response(200, gzip.compress(plain), extra="Content-Encoding: gzip\r\n")
    (found,) = [o for o in exchange("GET", answer) if isinstance(o, ApiResponse)]
    assert found.body == {"a": "z" * 500}
    assert (found.body_bytes, found.body_sha256) == (len(plain), hashlib.sha256(plain).hexdigest())


def test_a_body_in_several_gzip_members_is_one_body() -> None:
    parts = gzip.compress(b'{"a": ') + gzip.compress(b"1}")
    assert answers(exchange("GET", response(200, parts, extra="Content-Encoding: gzip\r\n")))[0][2] == {
        "a": 1
    }


def test_a_damaged_gzip_body_is_told_and_the_answer_still_stands() -> None:
    damaged = gzip.compress(b'{"a": 1}')[:-9]
    _, answer, undecoded = exchange("GET", response(200, damaged, extra="Content-Encoding: gzip\r\n"))
    assert isinstance(answer, ApiResponse)
    assert answer.body is None
    assert isinstance(undecoded, Undecoded)
    assert "gzip" in undecoded.why


def test_repeated_headers_are_joined_and_their_names_are_in_lower_case() -> None:
    (head, end) = parts(b"GET / HTTP/1.1\r\nAccept: a\r\nACCEPT: b\r\n\r\n")
    assert isinstance(head, Head)
    assert isinstance(end, End)
    assert head.headers == {"accept": "a, b"}


@pytest.mark.parametrize(
    ("wire", "answered"),
    [
        (b"GARBAGE\r\n\r\n", ""),
        (b"HTTP/1.1 xyz OK\r\n\r\n", "GET"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", ""),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", ""),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", ""),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", ""),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, ""),
    ],
    ids=["start", "status", "header", "length", "chunk-size", "chunk-end", "chunk-line"],
)
def test_what_is_no_http_is_an_error(wire: bytes, answered: str) -> None:
    with pytest.raises(DecodeError):
        parts(wire, answered)


def test_what_nobody_asked_for_is_not_hoarded() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(b"GET /never-ends")
    found = history(packets + talk.answer(b"x" * 1_200_000, range(60_000, 1_200_000, 60_000)))
    assert "nobody asked for" in found.connections[0].why_incomplete
    assert found.missing


def test_an_answer_waits_for_its_request() -> None:
    talk = Talk()
    opening = talk.open()
    first, second = talk.ask(request("GET", "/a"), [12])
    answer = talk.answer(response(200, b'{"a": 1}'))
    _, seen = feed([*opening, first, second, *answer])
    assert [type(o) for o in seen] == [ApiRequest, ApiResponse]
