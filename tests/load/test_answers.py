"""Answers end where they end, and events have the names that they have, however their bytes arrive."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.load.answers import Answer, Events, Malformed, octets
from kubewitness.load.plan import JSON, Request
from tests.load.serving import chunked

HEAD = b"HTTP/1.1 201 Created\r\nX: y\r\n"
ANSWERS = {
    "length": HEAD + b"content-length: 11\r\n\r\nhello world",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", b" world", b""),
    "chunks that look like an end": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: 0\r\n\r\n",
    "a head before": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 11\r\n\r\nhello world",
}
CUTS = st.lists(st.integers(0, 200), max_size=8)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


@pytest.mark.parametrize("name", ANSWERS)
@given(places=CUTS)
def test_an_answer_ends_with_its_last_byte(name: str, places: list[int]) -> None:
    body: list[bytes] = []
    answer = Answer(body.append)
    for _ in range(2):  # one after the other
        body.clear()
        answer.expect()
        ends = [answer.feed(piece) for piece in cut(ANSWERS[name], places)]
        assert ends == [False] * (len(ends) - 1) + [True]
        assert (answer.status, b"".join(body), answer.closes) == (201, b"hello world", False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
    ],
)
def test_the_last_answer_of_a_connection(data: bytes) -> None:
    answer = Answer()
    assert answer.feed(data)
    assert answer.closes


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    answer = Answer()
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert answer.end()


def test_an_answer_without_a_body() -> None:
    answer = Answer()
    assert answer.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert not answer.closes


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n\r\n\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nhello\r\n"]
)
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(Malformed):
        Answer().feed(data)


def line(kind: str, name: str, **more: object) -> bytes:
    metadata = {"name": name, "annotations": {"name": "another"}} | more
    return json.dumps({"type": kind, "object": {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}},
                      separators=(",", ":")).encode() + b"\n"  # fmt: skip


OTHERWISE = b'{"object": {"metadata": {"labels": {"name": "no"}, "name": "c\\u0064"}}, "type": "DELETED"}\n'
BOOKMARK = (
    b'{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}\n'
)


@given(places=st.lists(st.integers(0, 500), max_size=8))
def test_events(places: list[int]) -> None:
    events = Events()
    found: list[tuple[str, str]] = []
    for piece in cut(line("ADDED", "a") + BOOKMARK + line("MODIFIED", "b.b") + OTHERWISE, places):
        events.feed(piece)
        found += events.take()
    assert found == [("ADDED", "a"), ("BOOKMARK", ""), ("MODIFIED", "b.b"), ("DELETED", "cd")]


def test_an_event_that_tells_of_an_error() -> None:
    events = Events()
    events.feed(b'{"type":"ERROR","object":{"kind":"Status","message":"too old resource version"}}\n')
    with pytest.raises(ValueError, match="too old resource version"):
        next(events.take())


def test_a_request_has_what_its_server_needs() -> None:
    body = octets(Request("a", "POST", "/pods?x=1", {"ä": 1}), "10.0.0.1:6443", JSON)
    head, _, rest = body.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /pods?x=1 HTTP/1.1", b"Host: 10.0.0.1:6443", b"User-Agent: kubewitness-load",
        b"Accept: application/json", b"Content-Type: application/json", b"Content-Length: %d" % len(rest),
    ]  # fmt: skip
    assert json.loads(rest) == {"ä": 1}
