"""HTTP/1.1 messages of one direction, piece by piece as they arrive."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, final

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.spans import Span, SpanBuffer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")

#: Go's servers refuse larger headers.
_LONGEST_HEAD: Final = 1 << 20
_LONGEST_LINE: Final = 4096
_LONGEST_KNOWN: Final = 256
_MOST_TRAILERS: Final = 100

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,12})\s*(?:;|$)")
_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)


@final
class Head:
    """The start line's three parts and the headers, names in lower case."""

    __slots__ = ("headers", "parts", "span")

    def __init__(self, parts: tuple[str, str, str], headers: dict[str, str], span: Span) -> None:
        self.parts = parts
        self.headers = headers
        self.span = span


@final
class Piece:
    """Some of the body, transfer encoding removed."""

    __slots__ = ("data", "span")

    def __init__(self, data: bytes, span: Span) -> None:
        self.data = data
        self.span = span


@final
class Trailers:
    """Headers that came behind a body, names in lower case; the next part is the end."""

    __slots__ = ("headers", "span")

    def __init__(self, headers: dict[str, str], span: Span) -> None:
        self.headers = headers
        self.span = span


@final
class End:
    """The message is complete; the span is that of its last bytes."""

    __slots__ = ("span",)

    def __init__(self, span: Span) -> None:
        self.span = span


#: What comes next.
_HEAD: Final = 0
_LENGTH: Final = 1
_CHUNK: Final = 2
_UNTIL_CLOSE: Final = 3
_CHUNK_SIZE: Final = 4
_CHUNK_END: Final = 5
_TRAILER: Final = 6


class MessageReader:
    """Feed it a direction's bytes; ask for what they say with ``next``."""

    def __init__(self) -> None:
        self._buffer = SpanBuffer()
        self._state = _HEAD
        self._left = 0  # bytes of the body or the chunk still to come
        self._searched = 0  # bytes known not to begin the line end that is sought
        self._last: Span | None = None  # of the bytes read last
        self._ends = False  # what was read last was the end of a message
        self._trailers: list[str] = []
        self._closed = False

    @property
    def unread(self) -> int:
        """Bytes appended and not yet given out."""
        return len(self._buffer)

    def append(self, data: bytes, span: Span) -> None:
        self._buffer.append(data, span)

    def close(self) -> None:
        """No more bytes come."""
        self._closed = True

    def next(self, answered: str = "") -> Head | Piece | Trailers | End | None:
        """The next part of the messages; None when more bytes are needed.

        ``answered`` is the method of the request that a response answers,
        ``""`` when these are requests.
        """
        while True:
            if self._ends and self._last is not None:
                if self._trailers:
                    lines, self._trailers = self._trailers, []
                    return Trailers(_headers(lines), self._last)
                self._ends = False
                return End(self._last)
            if self._state == _HEAD:
                return self._head(answered)
            if self._state <= _UNTIL_CLOSE:
                return self._piece()
            line = self._until(b"\r\n", _LONGEST_LINE)
            if line is None:
                return None
            self._after_line(line[:-2])

    def _after_line(self, line: bytes) -> None:
        if self._state == _CHUNK_END:
            if line:
                raise DecodeError(f"wanted the end of a chunk, found {line[:40]!r}")
            self._state = _CHUNK_SIZE
        elif self._state == _CHUNK_SIZE:
            size = _SIZE_LINE.match(line)
            if not size:
                raise DecodeError(f"wanted a chunk's size, found {line[:40]!r}")
            self._left = int(size[1], 16)
            self._state = _CHUNK if self._left else _TRAILER
        elif not line:
            self._state, self._ends = _HEAD, True
        else:
            self._trailers.append(line.decode("latin-1"))
            if len(self._trailers) > _MOST_TRAILERS:
                raise DecodeError(f"more than {_MOST_TRAILERS} trailers behind a body")

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        """The bytes up to and including ``mark``; None if it has not arrived."""
        found = self._buffer.find(mark, self._searched)
        if found < 0:
            self._searched = max(0, len(self._buffer) - len(mark) + 1)
            if self._searched > limit:
                raise DecodeError(f"no {mark!r} within {limit} bytes")
            return None
        self._searched = 0
        data, self._last = self._buffer.take(found + len(mark))
        return data

    def _piece(self) -> Piece | End | None:
        have = len(self._buffer)
        if self._state == _UNTIL_CLOSE:
            if have:
                data, self._last = self._buffer.take(have)
                return Piece(data, self._last)
            if self._closed and self._last is not None:
                self._state = _HEAD
                return End(self._last)
            return None
        if not have:
            return None
        data, self._last = self._buffer.take(min(have, self._left))
        self._left -= len(data)
        if not self._left:
            if self._state == _CHUNK:
                self._state = _CHUNK_END
            else:
                self._state, self._ends = _HEAD, True
        return Piece(data, self._last)

    def _head(self, answered: str) -> Head | None:
        raw = b""
        while not raw:
            found = self._until(b"\r\n\r\n", _LONGEST_HEAD)
            if found is None:
                return None
            raw = found[:-4]
            while raw.startswith(b"\r\n"):  # tolerated before a message by RFC 9112, 2.2
                raw = raw[2:]
        assert self._last is not None
        start, *lines = str(raw, "latin-1").split("\r\n")
        first, _, rest = start.partition(" ")
        second, _, third = rest.partition(" ") if answered else rest.rpartition(" ")
        if not (first if answered else third).startswith("HTTP/1.") or (
            answered and not _STATUS.fullmatch(second)
        ):
            raise DecodeError(f"wanted a start line of HTTP/1.1, found {start!r:.80}")
        headers = _headers(lines)
        self._frame_body(answered, second, headers)
        return Head((first, second, third), headers, self._last)

    def _frame_body(self, answered: str, status: str, headers: dict[str, str]) -> None:
        """Decide where the body ends (RFC 9112, 6.3)."""
        length = headers.get("content-length", "")
        bodiless = answered == "HEAD" or status.startswith("1") or status in ("204", "304")
        if answered and bodiless:
            self._ends = True
        elif headers.get("transfer-encoding", "").lower().endswith("chunked"):
            self._state = _CHUNK_SIZE
        elif length:
            if not _DIGITS.fullmatch(length):
                raise DecodeError(f"wanted a Content-Length, found {length!r:.40}")
            self._left = int(length)
            self._ends = self._left == 0
            self._state = _LENGTH if self._left else _HEAD
        elif answered:
            self._state = _UNTIL_CLOSE
        else:
            self._ends = True


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise DecodeError(f"wanted a header, found {line!r:.80}")
    return name.strip().lower(), value.strip()


#: Most lines of a head are those of the one before it.
_known_header = lru_cache(maxsize=1024)(_header)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _known_header(line) if len(line) < _LONGEST_KNOWN else _header(line)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
