"""As much of HTTP/1.1 as a load needs: bytes of requests, ends of answers, events of a watch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from kubewitness.load.plan import JSON, Request

#: The beginning of an event as the API server writes it. What it does not match is parsed as JSON.
_EVENT: Final = re.compile(
    rb'\{"type":"([A-Z]+)","object":\{"kind":"\w+","apiVersion":"[\w./-]+","metadata":\{"name":"([\w.-]+)"'
)
_CONNECTION: Final = re.compile(rb"\r\nconnection: *close *\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n")
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked *\r\n")
_LONGEST_HEAD: Final = 1 << 16


class Malformed(OSError):
    """An answer that is not of HTTP/1.1: the connection can be used no more."""


def octets(request: Request, host: str, accept: str) -> bytes:
    """A request as it is sent."""
    body = request.octets()
    lines = [
        f"{request.method} {request.path} HTTP/1.1", f"Host: {host}", "User-Agent: kubewitness-load",
        f"Accept: {accept}",
    ]  # fmt: skip
    if request.body is not None:
        lines += [f"Content-Type: {request.content_type}", f"Content-Length: {len(body)}"]
    elif request.method not in {"GET", "DELETE"}:
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def watching(path: str, host: str) -> bytes:
    return octets(Request("", "GET", path), host, JSON)


class Answer:
    """The answers of one connection, one after the other. What ``sink`` gets is the body, piece by piece."""

    def __init__(self, sink: Callable[[bytes], None] | None = None) -> None:
        self._sink = sink
        self.closes = False
        self.expect()

    def expect(self) -> None:
        """Another answer comes. ``status`` is 0 until its head is there."""
        self.status = 0
        self._rest = b""
        self._left = 0  # of the body, or of a chunk and the two bytes after it
        self._body: Callable[[bytes, int], int] | None = None
        self._last_chunk = False
        self._whole = False

    def feed(self, data: bytes) -> bool:
        """Whether this is the answer's end. Afterwards ``closes`` says if it was the connection's last."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while self._body is None:
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                if len(data) > _LONGEST_HEAD:
                    raise Malformed("a head of more than 64 KiB")
                self._rest = data[at:]
                return False
            self._head(data[at : end + 2].lower())
            at = end + 4
        at = self._body(data, at)
        if self._whole and at < len(data):
            self.closes = True  # more than was asked for
        return self._whole

    def end(self) -> bool:
        """The connection ended. Whether that is the answer's end, too."""
        return self._body == self._until_end

    def _head(self, head: bytes) -> None:
        if not head.startswith(b"http/1.") or not head[9:12].isdigit():
            raise Malformed(f"wanted an answer of HTTP/1.1, found {head[:20]!r}")
        status = int(head[9:12])
        if 100 <= status < 200:
            return  # the answer is still to come
        self.status = status
        self.closes = head.startswith(b"http/1.0") or _CONNECTION.search(head) is not None
        if status in {204, 304}:
            self._body = self._by_length
        elif _CHUNKED.search(head):
            self._body = self._chunks
        elif found := _LENGTH.search(head):
            self._left = int(found[1])
            self._body = self._by_length
        else:
            self.closes = True
            self._body = self._until_end

    def _until_end(self, data: bytes, at: int) -> int:
        if self._sink:
            self._sink(data[at:])
        return len(data)

    def _by_length(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        if self._sink:
            self._sink(data[at:end])
        self._whole = not self._left
        return end

    def _chunks(self, data: bytes, at: int) -> int:
        while True:
            if self._left:
                end = min(len(data), at + self._left)
                if self._sink and (last := min(end, at + self._left - 2)) > at:
                    self._sink(data[at:last])
                self._left -= end - at
                at = end
                if self._left:
                    return at
            end = data.find(b"\r\n", at)
            if end < 0:
                self._rest = data[at:]
                return len(data)
            line, at = data[at:end], end + 2
            if self._last_chunk:  # trailers, up to an empty line
                if not line:
                    self._whole = True
                    return at
            else:
                self._left = _chunk_size(line)
                self._last_chunk = self._left == 0
                self._left += 0 if self._last_chunk else 2


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise Malformed(f"wanted the size of a chunk, found {line[:20]!r}") from error


class Events:
    """The events of a watch, by lines. ``type`` and name are all that is taken out of them."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def take(self) -> Iterator[tuple[str, str]]:
        """Type and name of those that are whole. Bookmarks have no name. ValueError if one is no JSON."""
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest] if rest else []
        for line in lines:
            if found := _EVENT.match(line):
                yield found[1].decode(), found[2].decode()
            elif line.strip():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ValueError(event["object"].get("message", "an error without a message"))
                yield event["type"], event["object"]["metadata"].get("name", "")
