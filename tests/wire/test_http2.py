from __future__ import annotations

import hpack
import pytest
from hyperframe import frame as h2

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.http2 import PREFACE, Headers, Http2Conversation
from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards
from tests.wire.grpc_traffic import Side, client_start, data, settings

LONG = [(f"x-{n}", "value" * 20) for n in range(30)]


class Heard:
    """Writes down what the streams carry."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.spans: list[Span] = []

    def headers(self, towards: Towards, stream: int, headers: Headers, span: Span) -> None:
        self.told.append(("headers", towards.value, stream, headers))
        self.spans.append(span)

    def body(self, towards: Towards, stream: int, data: bytes, span: Span) -> None:
        self.told.append(("body", towards.value, stream, data))
        self.spans.append(span)

    def ended(self, towards: Towards, stream: int) -> None:
        self.told.append(("ended", towards.value, stream))

    def reset(self, stream: int) -> None:
        self.told.append(("reset", stream))


def heard(*said: tuple[Towards, bytes]) -> Heard:
    streams = Heard()
    conversation = Http2Conversation(streams)
    for frame, (towards, wire) in enumerate(said, 1):
        conversation.data(towards, wire, Span(frame, frame, frame, frame))
    return streams


def test_padding_is_no_data() -> None:
    client = Side()
    wire = client_start() + client.headers(1, [(":path", "/a")], pad=9) + data(1, b"body", ends=True, pad=30)
    assert heard((Towards.SERVER, wire)).told == [
        ("headers", "server", 1, {":path": "/a"}),
        ("body", "server", 1, b"body"),
        ("ended", "server", 1),
    ]


def test_continued_headers_are_one_block_wherever_they_are_cut() -> None:
    client = Side()
    wire = client_start() + client.headers(1, LONG, pieces=7, ends=True) + client.headers(3, LONG)
    whole = heard((Towards.SERVER, wire))
    single = heard(*((Towards.SERVER, wire[at : at + 1]) for at in range(len(wire))))
    assert whole.told == single.told
    assert [told[0] for told in whole.told] == ["headers", "ended", "headers"]
    assert whole.told[2][3] == dict(LONG)


def test_each_direction_has_its_own_compression() -> None:
    client, server = Side(), Side()
    streams = heard(
        (Towards.SERVER, client_start() + client.headers(1, [("a", "client")])),
        (Towards.CLIENT, settings() + server.headers(1, [("b", "server")])),
        (Towards.SERVER, client.headers(3, [("a", "client")])),
        (Towards.CLIENT, server.headers(3, [("b", "server")])),
    )
    assert [told[3] for told in streams.told] == [{"a": "client"}, {"b": "server"}] * 2


@pytest.mark.parametrize("size", [0, 100, 4096, 65536])
def test_a_table_size_is_honoured_once_it_is_acknowledged(size: int) -> None:
    client, server = Side(), Side()
    before = client.headers(1, LONG)
    client.encoder.header_table_size = size
    streams = heard(
        (Towards.SERVER, client_start() + before),
        (Towards.CLIENT, settings(size)),
        (Towards.CLIENT, server.headers(1, [("still", "fine")])),
        (Towards.SERVER, settings(ack=True) + client.headers(3, LONG) + client.headers(5, LONG)),
    )
    assert [told[2] for told in streams.told] == [1, 1, 3, 5]
    assert streams.told[3][3] == dict(LONG)


def test_an_encoder_that_ignores_a_smaller_table_is_an_error() -> None:
    client = Side()
    with pytest.raises(DecodeError, match="decompressed"):
        heard(
            (Towards.SERVER, client_start() + client.headers(1, LONG)),
            (Towards.CLIENT, settings(50)),
            (Towards.SERVER, settings(ack=True) + client.headers(3, LONG)),
        )


def test_resets_are_told_and_other_frames_are_passed_over() -> None:
    frames = [
        h2.PingFrame(0, b"12345678"),
        h2.WindowUpdateFrame(0, 100),
        h2.GoAwayFrame(0, 1),
        h2.RstStreamFrame(1, 8),
    ]
    unheard_of = b"\x00\x00\x03\xbe\x00\x00\x00\x00\x00new"
    wire = unheard_of + b"".join(frame.serialize() for frame in frames)
    assert heard((Towards.SERVER, client_start()), (Towards.CLIENT, wire)).told == [("reset", 1)]


def test_a_pushed_streams_headers_keep_the_compression_right() -> None:
    server = Side()
    push = h2.PushPromiseFrame(1, 2, server.encoder.encode([("pushed", "yes")]))
    push.flags.add("END_HEADERS")
    streams = heard((Towards.CLIENT, push.serialize() + server.headers(1, [("pushed", "yes")])))
    assert [told[3] for told in streams.told] == [{"pushed": "yes"}]


@pytest.mark.parametrize(
    "wire",
    [
        h2.ContinuationFrame(1, b"x").serialize(),
        h2.HeadersFrame(1, hpack.Encoder().encode([("a", "b")])).serialize() + data(1, b"x"),
        b"\x00\x00\x01\x00\x08\x00\x00\x00\x01\x09",
        b"\x00\x00\x03\x01\x04\x00\x00\x00\x01\xff\xff\xff",
    ],
    ids=["continuation", "interrupted", "padding", "compression"],
)
def test_what_breaks_the_rules_is_an_error(wire: bytes) -> None:
    with pytest.raises(DecodeError):
        heard((Towards.SERVER, PREFACE + wire))


def test_spans_cover_all_packets_of_a_block() -> None:
    client = Side()
    wire = client.headers(1, LONG, pieces=2)
    streams = heard(
        (Towards.SERVER, client_start()), (Towards.SERVER, wire[:50]), (Towards.SERVER, wire[50:])
    )
    assert streams.spans == [Span(2, 2, 3, 3)]
