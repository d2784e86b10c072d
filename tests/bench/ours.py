"""Ours, as far as the peers go (HTTP messages), and the whole way (observations of a cluster)."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from kubewitness.capture.files import CaptureFile
from kubewitness.model.observation import UNKNOWN
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.http1 import Head, MessageReader, Piece
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
        self._requests, self._responses = MessageReader(), MessageReader()
        self._asked: deque[str] = deque()
        self._request: Head | None = None
        self._response: Head | None = None
        self._request_body: list[bytes] = []
        self._response_body: list[bytes] = []

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if towards is Towards.SERVER:
            self._requests.append(payload, span)
            while (part := self._requests.next()) is not None:
                if isinstance(part, Piece):
                    self._request_body.append(part.data)
                elif isinstance(part, Head):
                    self._request = part
                elif self._request:
                    method, path, _ = self._request.parts
                    self._told.append(Message(method, path, 0, b"".join(self._request_body)))
                    self._asked.append(method)
                    self._request_body = []
        else:
            self._responses.append(payload, span)
        while self._asked and (answer := self._responses.next(self._asked[0])) is not None:
            if isinstance(answer, Piece):
                self._response_body.append(answer.data)
            elif isinstance(answer, Head):
                self._response = answer
            elif self._response:
                body = b"".join(self._response_body)
                self._told.append(Message("", "", int(self._response.parts[1]), body))
                self._asked.popleft()
                self._response_body = []

    def end(self, towards: Towards) -> None:
        """The bench's bodies all have a length."""

    def abort(self) -> None:
        """Nor are bytes missing."""


def http(capture: Path) -> list[Message]:
    """File, packets, streams, messages: as much as the peers do."""
    told: list[Message] = []
    reassemble(capture, Reassembler(frozenset({API}), lambda _: _Http(told)))
    return told


def http_of_messages(messages: list[tuple[bool, bytes]]) -> list[Message]:
    """From where dpkt begins: (is a request, bytes)."""
    told: list[Message] = []
    span = Span(1, 0, 1, 0)
    readers = {True: MessageReader(), False: MessageReader()}
    for of_client, data in messages:
        reader = readers[of_client]
        reader.append(data, span)
        head: Head | None = None
        body: list[bytes] = []
        while (part := reader.next("" if of_client else "GET")) is not None:
            if isinstance(part, Head):
                head, body = part, []
            elif isinstance(part, Piece):
                body.append(part.data)
            elif head is not None:
                first, second, _ = head.parts
                parts = (first, second, 0) if of_client else ("", "", int(second))
                told.append(Message(*parts, b"".join(body)))
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
