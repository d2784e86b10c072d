"""A conversation with the API server: exchanges one after the other in HTTP/1.1, side by side in HTTP/2."""

from __future__ import annotations

from collections import deque

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.exchange import Exchange
from kubewitness.wire.grpc import GRPC
from kubewitness.wire.http1 import End, Head, Piece, Trailers
from kubewitness.wire.http2 import Headers
from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards
from kubewitness.wire.witness import Witness

#: Each is at most a frame of HTTP/2; servers that refuse a request say little.
_MOST_EARLY_PARTS = 64


class ApiMessages:
    """HTTP/1.1: an exchange after the other."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._asking = Exchange(witness, 1)
        self._asked: deque[Exchange] = deque()

    def asks(self, part: Head | Piece | Trailers | End) -> None:
        exchange = self._asking
        if isinstance(part, End):
            exchange.asked(part.span)
            self._asked.append(exchange)
            self._asking = Exchange(self._witness, exchange.number + 1)
        else:
            exchange.ask(part)

    def answers(self, part: Head | Piece | Trailers | End) -> None:
        exchange = self._asked[0]
        if not isinstance(part, End):
            exchange.answer(part)
        elif exchange.answered(part.span):
            self._asked.popleft()


class ApiStreams:
    """HTTP/2: an exchange per stream. An answer that comes before its request is complete waits for that."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._exchanges: dict[int, Exchange] = {}
        self._early: dict[int, list[Head | Piece | Trailers | None]] = {}  # None: the answer's end

    def headers(self, towards: Towards, stream: int, headers: Headers, span: Span) -> None:
        if towards is Towards.SERVER:
            if (asked := self._exchanges.get(stream)) is not None:
                if asked.asking:
                    asked.ask(Trailers(_ordinary(headers), span))
                return
            if headers.get("content-type", "").startswith(GRPC):
                return  # no API server speaks it
            parts = headers.get(":method", ""), headers.get(":path", ""), "HTTP/2"
            self._exchanges[stream] = Exchange(self._witness, stream)
            self._exchanges[stream].ask(Head(parts, _ordinary(headers), span))
        elif ":status" in headers:
            status = headers[":status"]
            if not (len(status) == 3 and status.isascii() and status.isdigit()):
                raise DecodeError(f"wanted a status, found {status!r:.40}")
            if status >= "200":  # of those before it nothing is told
                self._answer(stream, Head(("HTTP/2", status, ""), _ordinary(headers), span))
        elif (answered := self._exchanges.get(stream)) and (answered.answering or stream in self._early):
            self._answer(stream, Trailers(_ordinary(headers), span))

    def body(self, towards: Towards, stream: int, data: bytes, span: Span) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is not None:
            piece = Piece(data, span)
            if towards is Towards.SERVER:
                exchange.ask(piece)
            else:
                self._answer(stream, piece)

    def ended(self, towards: Towards, stream: int) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is None:
            return
        if towards is Towards.CLIENT:
            self._answer(stream, None)
        elif exchange.request is None:
            exchange.asked()
            for part in self._early.pop(stream, []):
                self._answer(stream, part)

    def reset(self, stream: int) -> None:
        """An answer that came before its request's end is told all the same: servers refuse large ones so."""
        if stream in self._early:
            self.ended(Towards.SERVER, stream)
        self._exchanges.pop(stream, None)

    def _answer(self, stream: int, part: Head | Piece | Trailers | None) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is None:
            return
        if exchange.request is None:
            early = self._early.setdefault(stream, [])
            early.append(part)
            if len(early) > _MOST_EARLY_PARTS:
                raise DecodeError(f"the answer to the unfinished request of stream {stream} has no end")
        elif part is None:
            if exchange.answering:
                exchange.answered()
            del self._exchanges[stream]
        else:
            exchange.answer(part)


def _ordinary(headers: Headers) -> Headers:
    """Without those of HTTP/2's own; the authority is what Host is in HTTP/1.1 (RFC 9113, 8.3.1)."""
    own = {name: value for name, value in headers.items() if not name.startswith(":")}
    if ":authority" in headers:
        own.setdefault("host", headers[":authority"])
    return own
