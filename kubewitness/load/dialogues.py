"""What is said on one connection: HTTP/1.1, a request at a time, or HTTP/2, many at once."""

from __future__ import annotations

from typing import Final, Protocol

from kubewitness.load.answers import Answer, Malformed, octets
from kubewitness.load.plan import Request

#: What an answer was: the request's number, and the status; None if it broke off.
Answered = tuple[int, int | None]
#: A request as it is kept until it is sent: of HTTP/2 pieces, whose streams are not known yet.
Prepared = tuple[bytes, ...]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEADER: Final = 9
#: What may be sent on a stream, and in a frame, before a server has said anything else.
WINDOW: Final = 65_535
_FRAME: Final = 16_384
_STREAMS: Final = 100
_LARGEST: Final = (1 << 31) - 1
_AGAIN: Final = 1 << 30
#: Some names of HPACK's static table (RFC 7541, A).
_NAMES: Final = {
    ":authority": 1, ":method": 2, ":path": 4, "accept": 19, "content-length": 28, "content-type": 31,
    "user-agent": 58,
}  # fmt: skip
_SCHEME_HTTPS: Final = b"\x87"


class Dialogue(Protocol):
    """One connection's. ``room`` is how many requests it takes at the moment."""

    room: int
    #: What is to be said first, and what has to be said without being asked for.
    pending: bytes

    @property
    def closes(self) -> bool:
        """No request may follow."""

    def request(self, number: int, prepared: Prepared) -> bytes:
        """The bytes of a request, which from then on is under way."""

    def feed(self, data: bytes) -> list[Answered]:
        """Takes what has arrived; raises Malformed."""

    def end(self) -> list[Answered]:
        """The server has ended the connection, which may be an answer's end, too."""

    def under_way(self) -> list[int]:
        """Those that are not answered."""


class OneByOne:
    """HTTP/1.1."""

    def __init__(self) -> None:
        self.room = 1
        self.pending = b""
        self._answer = Answer()
        self._number = -1

    @property
    def closes(self) -> bool:
        return self._answer.closes

    def request(self, number: int, prepared: Prepared) -> bytes:
        self.room = 0
        self._number = number
        self._answer.expect()
        return prepared[0]

    def feed(self, data: bytes) -> list[Answered]:
        if self._number < 0:
            raise Malformed("the server answered what nobody asked")
        return self._ended() if self._answer.feed(data) else []

    def end(self) -> list[Answered]:
        return self._ended() if self._number >= 0 and self._answer.end() else []

    def _ended(self) -> list[Answered]:
        found: Answered = self._number, self._answer.status
        self.room, self._number = 1, -1
        return [found]

    def under_way(self) -> list[int]:
        return [self._number] if self._number >= 0 else []


class Multiplexed:
    """HTTP/2, ``most`` requests at once. ``largest`` is the most bytes that a body has, at most WINDOW.

    Nothing is put into tables of header compression, on either side, so each frame can be read by itself.
    """

    def __init__(self, most: int, largest: int) -> None:
        settings = b"".join(
            number.to_bytes(2, "big") + value.to_bytes(4, "big")
            for number, value in ((1, 0), (2, 0), (4, _LARGEST))
        )
        update = (_LARGEST - WINDOW).to_bytes(4, "big")
        self.pending = PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, update)
        self.closes = False
        self.room = 0  # the server has to speak first
        self._most = most
        self._largest = largest
        self._limit = 0
        self._window = WINDOW
        self._received = 0
        self._next = 1
        self._numbers: dict[int, int] = {}
        self._status: dict[int, int] = {}
        self._rest = b""

    def request(self, number: int, prepared: Prepared) -> bytes:
        stream = self._next.to_bytes(4, "big")
        self._numbers[self._next] = number
        self._next += 2
        self._window -= int.from_bytes(prepared[0], "big")
        self._make_room()
        return stream.join(prepared[1:])

    def feed(self, data: bytes) -> list[Answered]:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        found: list[Answered] = []
        while size - at >= _HEADER:
            end = at + _HEADER + int.from_bytes(data[at : at + 3], "big")
            if end > size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == _DATA:
                self._received += end - at - _HEADER
            elif kind == _HEADERS:
                self._head(stream, flags, data[at + _HEADER : end])
            elif kind == _RST_STREAM:
                self._status.pop(stream, None)  # and so there is none
            else:
                self._control(kind, flags, stream, data[at + _HEADER : end])
            if kind == _RST_STREAM or (kind <= _HEADERS and flags & _END_STREAM):
                found.append(self._ended(stream))
            at = end
        self._rest = data[at:]
        if self._received > _AGAIN:
            self.pending += _frame(_WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big"))
            self._received = 0
        self._make_room()
        return found

    def end(self) -> list[Answered]:
        return []

    def under_way(self) -> list[int]:
        return [*self._numbers.values()]

    def _head(self, stream: int, flags: int, payload: bytes) -> None:
        if stream not in self._status:  # or these are trailers
            status = _status(payload, flags)
            if status >= 200:  # or the answer is still to come
                self._status[stream] = status

    def _ended(self, stream: int) -> Answered:
        if stream not in self._numbers:
            raise Malformed("the server answered what nobody asked")
        return self._numbers.pop(stream), self._status.pop(stream, None)

    def _make_room(self) -> None:
        by_window = self._window // self._largest if self._largest else _STREAMS
        self.room = 0 if self.closes else max(0, min(self._limit - len(self._numbers), by_window))

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            values = {
                int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(payload[at + 2 : at + 6], "big")
                for at in range(0, len(payload), 6)
            }
            self._limit = min(self._most, values.get(3, _STREAMS))
            if values.get(4, WINDOW) < self._largest:
                raise Malformed(f"the server takes bodies of {values[4]} bytes at most")
            self.pending += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self.pending += _frame(_PING, _ACK, 0, payload)
        elif kind == _GOAWAY:
            self.closes = True
        elif kind == _WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload, "big")


def one_by_one(request: Request, host: str, accept: str) -> Prepared:
    return (octets(request, host, accept),)


def multiplexed(request: Request, host: str, accept: str) -> Prepared:
    """The body's length, and then the frames' bytes between the numbers of their stream."""
    body = request.octets()
    headers = {
        ":method": request.method, ":path": request.path, ":authority": host,
        "user-agent": "kubewitness-load", "accept": accept,
    }  # fmt: skip
    if request.body is not None:
        headers |= {"content-type": request.content_type, "content-length": str(len(body))}
    block = _SCHEME_HTTPS + b"".join(_literal(name, value) for name, value in headers.items())
    frames = [
        (_HEADERS, _END_HEADERS | (0 if body else _END_STREAM), block),
        *(
            (_DATA, _END_STREAM if at + _FRAME >= len(body) else 0, body[at : at + _FRAME])
            for at in range(0, len(body), _FRAME)
        ),
    ]
    pieces = [b""]
    for kind, flags, payload in frames:
        pieces[-1] += len(payload).to_bytes(3, "big") + bytes([kind, flags])
        pieces.append(payload)
    return (len(body).to_bytes(4, "big"), *pieces)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def _literal(name: str, value: str) -> bytes:
    """A header field that no table is to remember."""
    return _integer(_NAMES[name], 4) + _integer(len(value), 7) + value.encode("ascii")


def _integer(value: int, bits: int) -> bytes:
    """RFC 7541, 5.1; the other bits of the first byte are zero."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    written = bytearray([most])
    value -= most
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


#: By the beginning of a block, in which the status stands.
_SEEN: Final[dict[bytes, int]] = {}
_BEGINNING: Final = 6


def _status(payload: bytes, flags: int) -> int:
    """The status in a frame of headers."""
    start = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
    block = payload[start : len(payload) - (payload[0] if flags & _PADDED else 0)]
    beginning = block[:_BEGINNING]
    if beginning not in _SEEN:
        from hpack import Decoder, HPACKError  # noqa: PLC0415 - only loads of HTTP/2 need to wait for it

        try:
            headers = dict(Decoder().decode(block, raw=True))
            _SEEN[beginning] = int(headers[b":status"])
        except (HPACKError, LookupError, ValueError) as error:
            raise Malformed(f"wanted headers with a status: {error}") from error
    return _SEEN[beginning]
