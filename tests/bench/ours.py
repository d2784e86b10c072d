"""Ours, as far as the peers go (HTTP messages), and the whole way (observations of a cluster)."""

from __future__ import annotations

from pathlib import Path

from kubewitness.capture.files import CaptureFile
from kubewitness.model.observation import UNKNOWN
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.http1 import End, Head, Http1Conversation, Piece, Trailers
from kubewitness.wire.spans import Span
from kubewitness.wire.tcp import Reassembler
from kubewitness.wire.tls import KeyLog, TlsConversation
from kubewitness.wire.towards import Towards
from tests.bench.peers import Message
from tests.reference.ours import reassemble
from tests.wire.traffic import API, API_TLS


class _Http:
    """A connection's messages."""

    def __init__(self, told: list[Message]) -> None:
        self._told = told
        self._request = self._response = ("", "", "")
        self._request_body: list[bytes] = []
        self._response_body: list[bytes] = []

    def asks(self, part: Head | Piece | Trailers | End) -> None:
        if isinstance(part, Piece):
            self._request_body.append(part.data)
        elif isinstance(part, Head):
            self._request, self._request_body = part.parts, []
        elif isinstance(part, End):
            method, path, _ = self._request
            self._told.append(Message(method, path, 0, b"".join(self._request_body)))

    def answers(self, part: Head | Piece | Trailers | End) -> None:
        if isinstance(part, Piece):
            self._response_body.append(part.data)
        elif isinstance(part, Head):
            self._response, self._response_body = part.parts, []
        elif isinstance(part, End):
            self._told.append(Message("", "", int(self._response[1]), b"".join(self._response_body)))


class _Connection:
    """The bench's bodies all have a length, and no byte is missing."""

    def __init__(self, told: list[Message]) -> None:
        self.data = Http1Conversation(_Http(told)).data

    def end(self, towards: Towards) -> None:
        """Nothing hangs on it."""

    def abort(self) -> None:
        """Nor on this."""


def http(capture: Path) -> list[Message]:
    """File, packets, streams, messages: as much as the peers do."""
    told: list[Message] = []
    reassemble(capture, Reassembler(frozenset({API}), lambda _: _Connection(told)))
    return told


def http_of_messages(messages: list[tuple[bool, bytes]]) -> list[Message]:
    """From where dpkt begins: (is a request, bytes)."""
    told: list[Message] = []
    span = Span(1, 0, 1, 0)
    said = Http1Conversation(_Http(told)).data
    for of_client, data in messages:
        said(Towards.SERVER if of_client else Towards.CLIENT, data, span)
    return told


class _Said:
    """What is said under TLS on a connection."""

    def __init__(self, said: dict[Towards, list[bytes]]) -> None:
        self._said = said

    def data(self, towards: Towards, payload: bytes, _: Span) -> None:
        self._said[towards].append(payload)

    def end(self, towards: Towards) -> None:
        """Nothing hangs on it."""


class _Tls:
    def __init__(self, keys: KeyLog, said: dict[Towards, list[bytes]]) -> None:
        self._tls = TlsConversation(keys, _Said(said))
        self.data, self.end = self._tls.data, self._tls.end

    def abort(self) -> None:
        """No byte is missing."""


def tls(capture: Path, secrets: Path) -> list[bytes]:
    """What was said under TLS: by the client, by the server."""
    keys, said = KeyLog(), {Towards.SERVER: list[bytes](), Towards.CLIENT: list[bytes]()}
    keys.learn(secrets.read_text())
    reassemble(capture, Reassembler(frozenset({API_TLS}), lambda _: _Tls(keys, said)))
    return [b"".join(parts) for parts in said.values()]


def whole(capture: Path, api: frozenset[int] = frozenset({API}), etcd: frozenset[int] = frozenset()) -> int:
    """Everything: objects, verbs, targets, watch events. Returns how many observations there are."""
    decoder = Decoder(api, etcd, lambda *_: UNKNOWN)
    count = 0
    with capture.open("rb") as file:
        packets = CaptureFile(file, str(capture))
        while (packet := packets.next()) is not None:
            count += len(decoder.feed(packets.packets, packet.time_ns, packet.data, packet.link))
            if packets.packets % 1000 == 0:
                decoder.forget()
    return count
