"""What Kubewitness makes of a capture, in the words that tshark's messages have here."""

from __future__ import annotations

import re
from pathlib import Path

from kubewitness.capture.files import CaptureFile
from kubewitness.model.observation import UNKNOWN, ApiRequest, ApiResponse, Endpoint
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.http2 import Headers, Http2Conversation
from kubewitness.wire.inflate import inflater_of
from kubewitness.wire.opening import Opening
from kubewitness.wire.packet import segment
from kubewitness.wire.spans import Span
from kubewitness.wire.tcp import Flow, Reassembler
from kubewitness.wire.tls import KeyLog, TlsConversation
from kubewitness.wire.towards import Towards
from tests.reference.tshark import Message, digest

_FINAL = re.compile(r"[2-5]\d\d", re.ASCII)
Ends = tuple[tuple[str, int], tuple[str, int]]


def _ends(client: Endpoint, server: Endpoint) -> Ends:
    return (client.ip, client.port), (server.ip, server.port)


def http1(capture: Path, keys: KeyLog | None = None) -> list[Message]:
    """All but the answers to watches, which are told before they are complete."""
    decoder = Decoder(frozenset({8080, 6443}), frozenset(), lambda *_: UNKNOWN, keys)
    found = []
    with capture.open("rb") as file:
        packets = CaptureFile(file, str(capture))
        while (packet := packets.next()) is not None:
            for seen in decoder.feed(packets.packets, packet.time_ns, packet.data, packet.link):
                connection = decoder.connection(seen.connection)
                ends = _ends(connection.client, connection.server)
                if isinstance(seen, ApiRequest):
                    found.append(Message(ends, 0, seen.method, seen.path, 0, seen.body_sha256))
                elif isinstance(seen, ApiResponse) and (seen.request.verb, seen.status) != ("watch", 200):
                    found.append(Message(ends, 0, "", "", seen.status, seen.body_sha256))
    return found


class Recorder:
    """Both halves of each stream of a connection, when it has ended."""

    def __init__(self, ends: Ends, told: list[Message]) -> None:
        self._ends, self._told = ends, told
        self._heads: dict[tuple[int, Towards], Headers] = {}
        self._bodies: dict[tuple[int, Towards], bytes] = {}

    def headers(self, towards: Towards, stream: int, headers: Headers, _: Span) -> None:
        if headers.get(":method") or _FINAL.fullmatch(headers.get(":status", "")):
            self._heads[stream, towards] = headers

    def body(self, towards: Towards, stream: int, data: bytes, _: Span) -> None:
        self._bodies[stream, towards] = self._bodies.get((stream, towards), b"") + data

    def ended(self, towards: Towards, stream: int) -> None:
        head = self._heads.pop((stream, towards), None)
        if head is not None:
            body = self._bodies.pop((stream, towards), b"")
            if inflater := inflater_of(head.get("content-encoding", "")):
                body = inflater.feed(body)
            method, path = head.get(":method", ""), head.get(":path", "")
            status = 0 if method else int(head[":status"])
            self._told.append(Message(self._ends, stream, method, path, status, digest(body)))

    def reset(self, stream: int) -> None:
        """What of it has not ended is no message."""


class _Told:
    """A connection's bytes as the reassembler gives them, and no more when some are missing."""

    def __init__(self, opening: Opening) -> None:
        self._opening: Opening | None = opening

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._opening:
            self._opening.data(towards, payload, span)

    def end(self, towards: Towards) -> None:
        if self._opening:
            self._opening.end(towards)

    def abort(self) -> None:
        self._opening = None


def http2(capture: Path, keys: KeyLog | None = None) -> list[Message]:
    told: list[Message] = []

    def consumer(flow: Flow) -> _Told:
        conversation = Http2Conversation(Recorder(_ends(flow.client, flow.server), told))

        def handler(protocol: str) -> Http2Conversation | TlsConversation | None:
            if protocol == "tls" and keys is not None:
                return TlsConversation(keys, Opening(handler))
            return conversation if protocol == "h2" else None

        return _Told(Opening(handler))

    reassemble(capture, Reassembler(frozenset({2379, 6443}), consumer))
    return told


def reassemble(capture: Path, reassembler: Reassembler) -> None:
    """Every packet of a capture through a reassembler, whose consumers then have had all of it."""
    with capture.open("rb") as file:
        packets = CaptureFile(file, str(capture))
        while (packet := packets.next()) is not None:
            if found := segment(packet.data, packet.link):
                reassembler.accept(packets.packets, packet.time_ns, found)
