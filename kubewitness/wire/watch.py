"""The events of an API watch, out of the bytes of its endless body."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from kubewitness.model.observation import ApiObject
from kubewitness.wire.cbor import Sequence, parsed_cbor
from kubewitness.wire.content import CBOR_SEQUENCE, JSON, PROTOBUF, media_type
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.http1 import Piece
from kubewitness.wire.inflate import Inflater
from kubewitness.wire.protobuf import watch_event
from kubewitness.wire.scalars import parsed_json
from kubewitness.wire.spans import Span, SpanBuffer

#: An event larger than this means that the stream is not understood; etcd holds at most 1.5 MiB per object.
_LARGEST_EVENT = 64 << 20


class WatchStream:
    """Cuts events from body pieces, whatever the borders of the pieces are.

    An event that is damaged is one of ``frames`` like any other, as long as it is known where it ends. Where
    that is not known any more, ``frames`` raises DecodeError behind the last event that is whole.
    """

    def __init__(self, content_type: str, encoding: str) -> None:
        self._buffer = SpanBuffer()
        self._inflater = Inflater() if encoding == "gzip" else None
        self._absorbed: Span | None = None  # of compressed bytes that have given nothing yet
        self._searched = 0
        self._items = Sequence(_LARGEST_EVENT)
        self._ends: deque[int] = deque()  # the lengths of the CBOR items that have arrived
        kind = media_type(content_type)
        if kind not in (JSON, PROTOBUF, CBOR_SEQUENCE) or encoding not in ("", "gzip"):
            what = f"{content_type!r} {encoding}".strip()
            raise DecodeError(
                f"a watch in {what} cannot be read, only JSON, protobuf and CBOR, plain or in gzip"
            )
        self._kind = kind
        self._damage = ""

    @property
    def within_event(self) -> bool:
        """Whether an event has begun and is not complete."""
        return len(self._buffer) > 0 or (self._inflater is not None and not self._inflater.complete)

    def append(self, piece: Piece) -> None:
        if self._inflater is None:
            self._add(piece.data, piece.span)
            return
        span = self._absorbed.join(piece.span) if self._absorbed else piece.span
        self._absorbed = span
        try:
            for data in self._inflater.pieces(piece.data):
                if data:
                    self._absorbed = None
                    self._add(data, span)
        except DecodeError as error:
            self._damage = self._damage or str(error)

    def _add(self, data: bytes, span: Span) -> None:
        self._buffer.append(data, span)
        if self._kind == CBOR_SEQUENCE:
            self._ends.extend(self._items.feed(data))
            self._damage = self._damage or self._items.damage

    def frames(self) -> Iterator[tuple[bytes, Span]]:
        """Each event that is complete, still encoded."""
        while True:
            length = self._length()
            if length > _LARGEST_EVENT or len(self._buffer) > _LARGEST_EVENT + 4:
                raise DecodeError(f"a watch event is larger than {_LARGEST_EVENT} bytes")
            if length <= 0 or len(self._buffer) < length:
                if self._damage:
                    raise DecodeError(self._damage)
                return
            data, span = self._buffer.take(length)
            if self._kind == PROTOBUF:
                yield data[4:], span
            elif self._kind == CBOR_SEQUENCE or not data.isspace():
                yield data, span

    def _length(self) -> int:
        """Of the next event, with what frames it; 0 if its end has not arrived."""
        if self._kind == PROTOBUF:
            return self._framed_length()
        if self._kind == CBOR_SEQUENCE:
            return self._ends.popleft() if self._ends else 0
        return self._line_length()

    def _framed_length(self) -> int:
        return 4 + int.from_bytes(self._buffer.peek(4), "big") if len(self._buffer) >= 4 else 0

    def _line_length(self) -> int:
        """JSON inside a watch has no raw newline, and each value ends in one."""
        found = self._buffer.find(b"\n", self._searched)
        self._searched = len(self._buffer) if found < 0 else 0
        return found + 1

    def event(self, data: bytes) -> tuple[str, ApiObject]:
        """The type and the object of an event."""
        if self._kind == PROTOBUF:
            return watch_event(data)
        event = parsed_cbor(data) if self._kind == CBOR_SEQUENCE else parsed_json(data)
        found = event.get("object") if isinstance(event, dict) else None
        if not isinstance(found, dict) or not isinstance(event.get("type"), str):
            raise DecodeError(f"wanted a watch event with an object, found {data[:80]!r}")
        return event["type"], found
