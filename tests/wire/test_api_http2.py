from __future__ import annotations

import gzip

from hyperframe import frame as h2

from kubewitness.model.observation import ApiRequest, ApiResponse, Observation, Undecoded, WatchEvent
from tests.wire.grpc_traffic import Side, client_start, data
from tests.wire.traffic import Talk, history

POD = b'{"kind":"Pod","metadata":{"name":"p"}}'
EVENT = b'{"type":"ADDED","object":{"kind":"Pod"}}\n'


class Client:
    """Asks and answers over one connection."""

    def __init__(self) -> None:
        self.talk = Talk()
        self.client, self.server = Side(), Side()
        self.packets = self.talk.open() + self.talk.ask(client_start())

    def ask(self, stream: int, method: str, path: str, *, ends: bool = True) -> None:
        listed = [
            (":method", method), (":scheme", "http"), (":path", path), (":authority", "k"),
            ("content-type", "application/json"),
        ]  # fmt: skip
        self.send(self.client.headers(stream, listed, ends=ends), to_server=True)

    def answer(self, stream: int, status: str, *more: tuple[str, str], ends: bool = False) -> None:
        listed = [(":status", status), ("content-type", "application/json"), *more]
        self.send(self.server.headers(stream, listed, ends=ends), to_server=False)

    def trailers(self, stream: int) -> None:
        self.send(self.server.headers(stream, [("x-checksum", "1")], ends=True), to_server=False)

    def send(self, said: bytes, *, to_server: bool) -> None:
        self.packets += self.talk.say(said, to_server=to_server, cuts=[7, 50])

    def seen(self) -> tuple[Observation, ...]:
        found = history(self.packets)
        assert found.missing == ()
        return found.observations


def test_streams_side_by_side_are_told_apart() -> None:
    client = Client()
    client.ask(1, "GET", "/api/v1/pods?watch=1")
    client.ask(3, "POST", "/api/v1/namespaces/d/pods", ends=False)
    client.answer(1, "200")
    client.send(data(1, EVENT[:9]), to_server=False)
    client.send(data(3, POD, ends=True), to_server=True)
    client.answer(3, "201")
    client.send(data(3, POD[:5]), to_server=False)
    client.send(data(1, EVENT[9:] + EVENT, pad=20), to_server=False)
    client.send(data(3, POD[5:], ends=True), to_server=False)
    watch, opened, post, first, second, created = client.seen()
    assert isinstance(post, ApiRequest)
    assert isinstance(created, ApiResponse)
    assert isinstance(first, WatchEvent)
    assert isinstance(second, WatchEvent)
    assert isinstance(opened, ApiResponse)
    assert (post.verb, post.name, post.headers["host"], post.stream) == ("create", "p", "k", 3)
    assert (created.request, created.status, created.body) == (post, 201, post.body)
    assert (opened.request, first.request, first.position, second.position) == (watch, watch, 1, 2)


def test_trailers_and_interim_answers_are_no_answers() -> None:
    client = Client()
    client.ask(1, "GET", "/api/v1/namespaces/d/pods/p")
    client.answer(1, "103")
    client.answer(1, "200")
    client.send(data(1, POD), to_server=False)
    client.trailers(1)
    _, answer = client.seen()
    assert isinstance(answer, ApiResponse)
    assert (answer.status, answer.body_bytes) == (200, len(POD))
    assert answer.trailers == {"x-checksum": "1"}


def test_trailers_are_kept_in_both_directions_and_before_their_turn() -> None:
    client = Client()
    client.ask(1, "POST", "/api/v1/namespaces/d/pods", ends=False)
    client.answer(1, "409")
    client.send(data(1, b"{}"), to_server=False)
    client.trailers(1)
    client.send(data(1, POD), to_server=True)
    client.send(client.client.headers(1, [("x-digest", "2")], ends=True), to_server=True)
    answer, asked = client.seen()
    assert isinstance(asked, ApiRequest)
    assert isinstance(answer, ApiResponse)
    assert (asked.trailers, asked.name) == ({"x-digest": "2"}, "p")
    assert (answer.trailers, answer.body) == ({"x-checksum": "1"}, {})


def test_trailers_of_a_watch_are_no_event() -> None:
    client = Client()
    client.ask(1, "GET", "/api/v1/pods?watch=1")
    client.answer(1, "200")
    client.send(data(1, EVENT), to_server=False)
    client.trailers(1)
    _, opened, event = client.seen()
    assert isinstance(opened, ApiResponse)
    assert isinstance(event, WatchEvent)
    assert opened.trailers == {}


def test_a_damaged_watch_ends_no_other_stream() -> None:
    client = Client()
    for stream in (1, 3):
        client.ask(stream, "GET", "/api/v1/pods?watch=1")
    listed = [(":status", "200"), ("content-type", "application/vnd.kubernetes.protobuf;stream=watch")]
    client.send(client.server.headers(1, listed), to_server=False)
    client.answer(3, "200")
    client.send(data(1, b"\xff" * 4), to_server=False)
    client.send(data(3, EVENT), to_server=False)
    client.send(data(1, bytes(99), ends=True), to_server=False)
    client.ask(5, "GET", "/version")
    client.answer(5, "200", ends=True)
    found = history(client.packets)
    assert [each.stream for each in found.observations if isinstance(each, WatchEvent)] == [3]
    assert [each.stream for each in found.observations if isinstance(each, ApiResponse)] == [1, 3, 5]
    assert [each.stream for each in found.observations if isinstance(each, Undecoded)] == [1]
    assert len(found.missing) == 1


def test_grpc_and_stray_headers_on_a_port_of_the_api_are_passed_over() -> None:
    client = Client()
    listed = [
        (":method", "POST"),
        (":path", "/some.Service/Call"),
        ("content-type", "application/grpc+proto"),
    ]
    client.send(client.client.headers(1, listed), to_server=True)
    client.send(data(1, b"\xff" * 9, ends=True), to_server=True)
    client.answer(1, "200")
    client.trailers(1)
    client.ask(3, "GET", "/version")
    client.send(client.server.headers(3, [("no-status", "1")]), to_server=False)
    client.answer(3, "200", ends=True)
    assert [each.stream for each in client.seen()] == [3, 3]


def test_an_answer_before_the_end_of_its_request_waits_for_it() -> None:
    client = Client()
    client.ask(1, "POST", "/api/v1/namespaces/d/pods", ends=False)
    client.answer(1, "413", ends=True)
    client.send(data(1, POD, ends=True), to_server=True)
    answered, asked = client.seen()  # in the order of their last packets
    assert isinstance(answered, ApiResponse)
    assert (answered.request, answered.status) == (asked, 413)


def test_a_request_that_is_refused_and_reset_is_told_with_its_answer() -> None:
    client = Client()
    client.ask(1, "POST", "/api/v1/namespaces/d/pods", ends=False)
    client.answer(1, "413", ends=True)
    client.send(h2.RstStreamFrame(1, 0).serialize(), to_server=False)
    _, answered = client.seen()
    assert isinstance(answered, ApiResponse)
    assert answered.status == 413


def test_a_body_in_gzip() -> None:
    client = Client()
    client.ask(1, "GET", "/api/v1/namespaces/d/pods/p")
    client.answer(1, "200", ("content-encoding", "gzip"))
    client.send(data(1, gzip.compress(POD), ends=True), to_server=False)
    _, answer = client.seen()
    assert isinstance(answer, ApiResponse)
    assert answer.body == {"kind": "Pod", "metadata": {"name": "p"}}


def test_the_answer_to_what_was_reset_is_nobodys() -> None:
    client = Client()
    client.ask(1, "GET", "/api/v1/pods?watch=1")
    client.answer(1, "200")
    client.send(h2.RstStreamFrame(1, 8).serialize(), to_server=True)
    client.send(data(1, EVENT, ends=True), to_server=False)
    assert [type(each).__name__ for each in client.seen()] == ["ApiRequest", "ApiResponse"]
