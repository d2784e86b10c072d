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


_NOWHERE: Final = Span(0, 0, 0, 0)


class SpanBuffer:
    """A queue of bytes. Every operation costs what it touches, however much waits behind.

    Nearly all that is appended finds nothing waiting. It is kept as it is, and cut where it is taken.
    """

    __slots__ = ("_base", "_data", "_end", "_joined", "_span", "_spans", "_start")

    def __init__(self) -> None:
        self._data = b""  # one part alone, whose span is _span
        self._span = _NOWHERE
        self._joined: bytearray | None = None  # instead, as long as anything waits: several parts
        self._spans: deque[tuple[int, Span]] = deque()  # of those (end offset since they were joined, span)
        self._base = 0  # offset of _joined[0]
        self._start = 0  # of the unread bytes in either
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def append(self, data: bytes, span: Span) -> None:
        if not data:
            return
        if self._start == self._end:
            self._data, self._span, self._start, self._end = data, span, 0, len(data)
        else:
            self._join(data, span)

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Where ``wanted`` begins, counted from the first unread byte; -1 if nowhere after ``start``."""
        if self._joined is None:
            at = self._data.find(wanted, self._start + start)
        else:
            at = self._joined.find(wanted, self._start + start)
        return at if at < 0 else at - self._start

    def peek(self, count: int) -> bytes:
        if self._joined is None:
            return self._data[self._start : self._start + count]
        return bytes(self._joined[self._start : self._start + count])

    def take(self, count: int) -> tuple[bytes, Span]:
        """The next ``count`` bytes (at least one, at most ``len``) and where they came from."""
        start = self._start
        end = start + count
        if self._joined is not None:
            return self._take_joined(self._joined, end)
        if end < self._end:
            self._start = end
            return self._data[start:end], self._span
        taken = self._data[start:] if start else self._data
        self._data = b""  # a connection may say nothing more for long
        self._start = self._end = 0
        return taken, self._span

    def _join(self, data: bytes, span: Span) -> None:
        if self._joined is None:
            self._joined = bytearray(self._data[self._start :])
            self._data = b""
            self._base, self._start, self._end = 0, 0, len(self._joined)
            self._spans.append((self._end, self._span))
        self._joined += data
        self._end += len(data)
        self._spans.append((self._base + self._end, span))

    def _take_joined(self, joined: bytearray, end: int) -> tuple[bytes, Span]:
        taken = bytes(memoryview(joined)[self._start : end])
        span = self._consume(self._base + end)
        self._start = end
        if end == self._end:
            self.clear()
        elif end > _COMPACT_AT and end * 2 > self._end:
            del joined[:end]
            self._base += end
            self._start, self._end = 0, self._end - end
        return taken, span

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
        self._data, self._joined = b"", None
        self._start = self._end = 0
        self._spans.clear()
