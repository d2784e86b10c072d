"""Many requests at once on one connection, each answered with its own status."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from hyperframe import frame as h2

from kubewitness.clusters.certificates import Authority
from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.load.dialogues import Multiplexed, multiplexed
from kubewitness.load.driving import run
from kubewitness.load.plan import CLOSED, HTTP2, Plan, Request
from tests.load.serving import Exchange, serving
from tests.load.serving_http2 import Speaker, serving_http2


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates", "authority")


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    own = authority.issue("server", "server", hosts=["127.0.0.1"])
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(own.certificate, own.key)
    made.set_alpn_protocols(["h2"])
    return made


def posts(count: int, size: int = 3) -> list[Request]:
    return [Request(f"r{n}", "POST", f"/pods?n={n}", b"x" * size) for n in range(count)]


def plan(url: str, authority: Authority, requests: list[Request], **more: Any) -> Plan:
    wanted: dict[str, Any] = {
        "within_s": 30.0,
        "connections": 1,
        "protocol": HTTP2,
        "authority": authority.certificate,
    }
    return Plan(server=url, requests=requests, **wanted | more)


def test_answers_in_another_order(tmp_path: Path, authority: Authority, context: ssl.SSLContext) -> None:
    def the_last_first(speaker: Speaker) -> None:
        if len(speaker.asked) == 6:
            for n, stream in enumerate(reversed(speaker.asked)):
                stream.answer(200 + n, b"z" * 16000, trailers=n % 2 == 0)

    with serving_http2(the_last_first, context) as (url, speakers):
        outcome = run(plan(url, authority, posts(6)), tmp_path)
    assert not outcome.missing
    assert [each.status for each in outcome.sent] == [205, 204, 203, 202, 201, 200]
    assert outcome.connections == len(speakers) == 1
    (speaker,) = speakers
    assert speaker.asked[0].headers == {
        ":method": "POST", ":path": "/pods?n=0", ":scheme": "https", ":authority": url[8:],
        "user-agent": "kubewitness-load", "accept": "application/json", "content-type": "application/json",
        "content-length": "3",
    }  # fmt: skip
    acknowledged = [each for each in speaker.received if "ACK" in each.flags]
    assert [type(each) for each in acknowledged] == [h2.SettingsFrame, h2.PingFrame]


def test_no_more_at_once_than_the_loop_or_the_server_has(
    tmp_path: Path, authority: Authority, context: ssl.SSLContext
) -> None:
    def pairs(speaker: Speaker) -> None:
        if len(speaker.asked) % 2 == 0:
            for stream in speaker.asked[-2:]:
                stream.answer()

    most = {h2.SettingsFrame.MAX_CONCURRENT_STREAMS: 2}
    for concurrency, settings in ((2, {}), (50, most)):
        with serving_http2(pairs, context, settings) as (url, _):
            outcome = run(plan(url, authority, posts(8), loop=CLOSED, concurrency=concurrency), tmp_path)
        assert not outcome.missing
        changes = sorted((at, change) for each in outcome.sent
                         for at, change in ((each.sent_ns, 1), (each.answered_ns, -1)))  # fmt: skip
        assert max(sum(change for _, change in changes[:end]) for end in range(len(changes) + 1)) == 2


def test_large_bodies_wait_for_the_servers_window(
    tmp_path: Path, authority: Authority, context: ssl.SSLContext
) -> None:
    def and_room_for_another(speaker: Speaker) -> None:
        speaker.asked[-1].answer()
        speaker.send(h2.WindowUpdateFrame(0, window_increment=40_000))

    with serving_http2(and_room_for_another, context) as (url, (*_,)):
        outcome = run(plan(url, authority, posts(5, 40_000)), tmp_path)
    assert not outcome.missing
    with pytest.raises(UsageError, match="wanted bodies of at most 65535 bytes, found one of 65536"):
        run(plan(url, authority, posts(1, 65_536)), tmp_path)


def test_what_breaks_off(tmp_path: Path, authority: Authority, context: ssl.SSLContext) -> None:
    def only_the_first(speaker: Speaker) -> None:
        if len(speaker.asked) == 3:
            first, second, third = speaker.asked
            going = h2.GoAwayFrame(last_stream_id=5)
            reset = h2.RstStreamFrame(second.number, error_code=2)
            speaker.send(going, *first.answered(), reset, *third.answered(409))
        elif speaker.asked[0].headers[":path"] == "/pods?n=3":
            speaker.asked[0].answer(202)  # on another connection

    with serving_http2(only_the_first, context, {h2.SettingsFrame.MAX_CONCURRENT_STREAMS: 3}) as (
        url,
        speakers,
    ):
        outcome = run(plan(url, authority, posts(4)), tmp_path)
    assert [each.status for each in outcome.sent] == [201, None, 409, 202]
    assert "1 of 4 requests were sent and not answered" in outcome.missing
    assert (len(speakers), outcome.reconnected) == (2, 1)


def test_a_server_without_it(tmp_path: Path, authority: Authority, context: ssl.SSLContext) -> None:
    context.set_alpn_protocols(["http/1.1"])
    with (
        serving(Exchange.send, context) as server,
        pytest.raises(ClusterError, match=r"the server speaks http/1.1, not h2|no application protocol"),
    ):
        run(plan(server.url, authority, posts(1)), tmp_path)


def test_frames_however_their_bytes_arrive() -> None:
    answers = b"".join(
        each.serialize()
        for each in (
            h2.SettingsFrame(settings={}), h2.HeadersFrame(1, b"\x88", flags=["END_HEADERS"]),
            h2.DataFrame(1, b"x" * 300, flags=["END_STREAM"]),
            h2.HeadersFrame(3, b"\x20\x08\x03404", flags=["END_HEADERS", "END_STREAM"]),
        )
    )  # fmt: skip
    prepared = multiplexed(Request("a", "DELETE", "/a"), "host", "x/y")
    for cut in range(len(answers)):
        dialogue = Multiplexed(10, 0)
        dialogue.feed(h2.SettingsFrame(settings={}).serialize())
        assert dialogue.room == 10
        assert len(dialogue.request(7, prepared)) == len(dialogue.request(8, prepared))
        assert dialogue.under_way() == [7, 8]
        assert dialogue.feed(answers[:cut]) + dialogue.feed(answers[cut:]) == [(7, 200), (8, 404)]
        assert (dialogue.room, dialogue.under_way()) == (10, [])
