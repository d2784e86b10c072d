"""Bytes in order, each of them still knowing the packet that brought it."""

from __future__ import annotations

from collections import deque
from typing import Final, final

_COMPACT_AT: Final = 1 << 16


@final
class Span:
    """The packets that some bytes came from.

    ``first_*`` is the earliest packet that carried any of the bytes, ``last_*``
    the one with which the last of them could be read in order. Times in
    nanoseconds since the Unix epoch.
    """

    __slots__ = ("first_frame", "first_ns", "last_frame", "last_ns")

    def __init__(self, first_frame: int, first_ns: int, last_frame: int, last_ns: int) -> None:
        self.first_frame = first_frame
        self.first_ns = first_ns
        self.last_frame = last_frame
        self.last_ns = last_ns

    def __repr__(self) -> str:
        return f"Span({self.first_frame}, {self.first_ns}, {self.last_frame}, {self.last_ns})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def join(self, later: Span) -> Span:
        """The span of these bytes and ``later`` ones of the same stream."""
        first = self if self.first_frame <= later.first_frame else later
        last = self if self.last_frame > later.last_frame else later
        return Span(first.first_frame, first.first_ns, last.last_frame, last.last_ns)


class SpanBuffer:
    """A queue of bytes. Every operation costs what it touches, however much waits behind.

    What is appended while nothing waits is kept as it is, so most bytes are never copied.
    """

    __slots__ = ("_base", "_data", "_spans", "_start")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0  # of the unread bytes in _data
        self._base = 0  # stream offset of _data[0]
        self._spans: deque[tuple[int, Span]] = deque()  # (end offset in the stream, span)

    def __len__(self) -> int:
        return len(self._data) - self._start

    def append(self, data: bytes, span: Span) -> None:
        if not data:
            return
        if self._start == len(self._data):
            self._forget(self._start)
            self._data = data
        else:
            if not isinstance(self._data, bytearray):
                self._forget(self._start)
                self._data = bytearray(self._data)
            self._data += data
        self._spans.append((self._base + len(self._data), span))

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Where ``wanted`` begins, counted from the first unread byte; -1 if nowhere after ``start``."""
        at = self._data.find(wanted, self._start + start)
        return at if at < 0 else at - self._start

    def peek(self, count: int) -> bytes:
        return bytes(self._data[self._start : self._start + count])

    def take(self, count: int) -> tuple[bytes, Span]:
        """The next ``count`` bytes (at least one, at most ``len``) and where they came from."""
        end = self._start + count
        taken = bytes(self._data[self._start : end])
        self._start = end
        span = self._consume(self._base + end)
        if end == len(self._data) or (end > _COMPACT_AT and end * 2 > len(self._data)):
            self._forget(end)
        return taken, span

    def _forget(self, count: int) -> None:
        """Drops bytes that were taken."""
        self._data = b"" if count == len(self._data) else self._data[count:]
        self._base += count
        self._start = 0

    def _consume(self, end: int) -> Span:
        spans = self._spans
        until, span = spans[0]
        while until < end:
            spans.popleft()
            until, following = spans[0]
            span = span.join(following)
        if until == end:
            spans.popleft()
        return span

    def clear(self) -> None:
        self._forget(len(self._data))
        self._spans.clear()
