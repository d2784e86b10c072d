"""HTTP/1.1 messages of one direction, piece by piece as they arrive."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final, Protocol, final

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.spans import Span, SpanBuffer
from kubewitness.wire.towards import Towards

SWITCHING_PROTOCOLS: Final = "101"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")

#: Go's servers refuse larger headers.
_LONGEST_HEAD: Final = 1 << 20
_LONGEST_UNASKED: Final = 1 << 20
_LONGEST_LINE: Final = 4096
_LONGEST_KNOWN: Final = 256
_LONGEST_LENGTH: Final = 15
_MOST_TRAILERS: Final = 100

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,12})\s*(?:;|$)")
_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)


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
        self._trailers: list[bytes] = []
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
                    fields, self._trailers = b"\r\n".join(self._trailers), []
                    return Trailers(_headers(fields), self._last)
                self._ends = False
                return End(self._last)
            if self._state == _HEAD:
                return self._head(answered) if len(self._buffer) else None
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
            self._trailers.append(line)
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
        start = b""
        while not start:  # an empty line is tolerated before a message (RFC 9112, 2.2)
            head = self._until(b"\r\n\r\n", _LONGEST_HEAD)
            if head is None:
                return None
            while head.startswith(b"\r\n"):
                head = head[2:]
            start, _, fields = head.partition(b"\r\n")
        assert self._last is not None
        fields = fields[:-4]
        if answered:
            parts, headers = _status_line(start), _headers(fields)
        else:
            parts, headers = _request_line(start), _request_headers(fields)
        self._frame_body(answered, parts[1], headers)
        return Head(parts, headers, self._last)

    def _frame_body(self, answered: str, status: str, headers: dict[str, str]) -> None:
        """Decide where the body ends (RFC 9112, 6.3)."""
        length = headers.get("content-length", "")
        if answered and (answered == "HEAD" or status < "200" or status in ("204", "304")):
            self._ends = True
        elif "transfer-encoding" in headers and headers["transfer-encoding"].lower().endswith("chunked"):
            self._state = _CHUNK_SIZE
        elif length:
            if len(length) > _LONGEST_LENGTH or not length.isdecimal():  # latin-1 has no decimals but 0 to 9
                raise DecodeError(f"wanted a Content-Length, found {length!r:.40}")
            self._left = int(length)
            self._ends = self._left == 0
            self._state = _LENGTH if self._left else _HEAD
        elif answered:
            self._state = _UNTIL_CLOSE
        else:
            self._ends = True


def is_final(status: str) -> bool:
    """Whether no other response follows: an interim one has another after it, but for an upgrade's."""
    return status >= "200" or status == SWITCHING_PROTOCOLS


class Messages(Protocol):
    """Who reads a connection's messages, part after part."""

    def asks(self, part: Head | Piece | Trailers | End) -> None:
        """The next part of the requests."""

    def answers(self, part: Head | Piece | Trailers | End) -> None:
        """The next part of the answers to the earliest request that is not answered yet."""


class Http1Conversation:
    """Pairs requests and responses in order: a response is read once its request is complete."""

    def __init__(self, messages: Messages) -> None:
        self._asks, self._answers = messages.asks, messages.answers
        self._requests = MessageReader()
        self._responses = MessageReader()
        self._method = ""  # of the request that was read last
        self._asked: deque[str] = deque()  # the methods of those that are not answered
        self._status = ""  # of the response that was read last
        self._over = False

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._over:
            return
        if towards is Towards.SERVER:
            self._requests.append(payload, span)
            self._read_requests()
        else:
            self._responses.append(payload, span)
        if self._asked:
            self._read_responses()
        elif self._responses.unread > _LONGEST_UNASKED:
            raise DecodeError(f"the server said {self._responses.unread} bytes that nobody asked for")

    def end(self, towards: Towards) -> None:
        if self._over:
            return
        if towards is Towards.SERVER:
            self._requests.close()
            self._read_requests()
        else:
            self._responses.close()
        if self._asked:
            self._read_responses()

    def _read_requests(self) -> None:
        while (part := self._requests.next()) is not None:
            if isinstance(part, Head):
                self._method = part.parts[0]
            elif isinstance(part, End):
                self._asked.append(self._method)
            self._asks(part)

    def _read_responses(self) -> None:
        """After an interim one another follows (RFC 9110, 15.2); after an upgrade it is another protocol."""
        while self._asked:
            part = self._responses.next(self._asked[0])
            if part is None:
                return
            if isinstance(part, Head):
                self._status = part.parts[1]
            elif isinstance(part, End):
                self._over = self._status == SWITCHING_PROTOCOLS
                if is_final(self._status):
                    self._asked.popleft()
            self._answers(part)
            if self._over:
                return


_Parts = tuple[str, str, str]
#: Most lines of a head are those of one before it, and so is a request but for its first line if it has no
#: body. Nobody changes what was given out.
_KNOWN: Final[dict[bytes, tuple[str, str]]] = {}
_KNOWN_STATUS: Final[dict[bytes, _Parts]] = {}
_KNOWN_REQUESTS: Final[dict[bytes, dict[str, str]]] = {}
_MOST_KNOWN: Final = 1024


def _remember(known: dict[bytes, Any], read: bytes, as_what: Any) -> None:
    """Begins anew when there is too much. A Memo makes a key for each look, which takes too long here."""
    if len(known) == _MOST_KNOWN:
        known.clear()
    known[read] = as_what


def _request_line(line: bytes) -> _Parts:
    method, _, rest = line.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1."):
        raise DecodeError(f"wanted a request's start line of HTTP/1.1, found {line[:80]!r}")
    return method, target, version


def _status_line(line: bytes) -> _Parts:
    known = _KNOWN_STATUS.get(line)
    if known is not None:
        return known
    version, _, rest = line.decode("latin-1").partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not _STATUS.fullmatch(status):
        raise DecodeError(f"wanted a response's start line of HTTP/1.1, found {line[:80]!r}")
    found = version, status, reason
    if len(line) < _LONGEST_KNOWN:
        _remember(_KNOWN_STATUS, line, found)
    return found


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon:
        raise DecodeError(f"wanted a header, found {line!r:.80}")
    found = name.strip().lower(), value.strip()
    if len(line) < _LONGEST_KNOWN:
        _remember(_KNOWN, line, found)
    return found


def _request_headers(fields: bytes) -> dict[str, str]:
    known = _KNOWN_REQUESTS.get(fields)
    if known is not None:
        return known
    headers = _headers(fields)
    if "content-length" not in headers and len(fields) < 4 * _LONGEST_KNOWN:
        _remember(_KNOWN_REQUESTS, fields, headers)
    return headers


def _headers(fields: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    if not fields:
        return headers
    lines = fields.split(b"\r\n")
    for line in lines:
        known = _KNOWN.get(line)
        name, value = known if known is not None else _header(line)
        headers[name] = value
    return headers if len(headers) == len(lines) else _joined_headers(lines)


def _joined_headers(lines: list[bytes]) -> dict[str, str]:
    """The same, where a name comes more than once (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in map(_header, lines):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
