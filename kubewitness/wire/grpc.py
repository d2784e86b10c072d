"""gRPC messages out of the bytes of an HTTP/2 stream."""

from __future__ import annotations

from collections.abc import Iterator

from kubewitness.wire.content import uncompressed
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.spans import Span, SpanBuffer

#: How its content types begin.
GRPC = "application/grpc"

_PREFIX = 5
_LARGEST_MESSAGE = 512 << 20


class MessageStream:
    """One direction of one call. ``encoding`` is its grpc-encoding header."""

    def __init__(self) -> None:
        self.encoding = ""
        self._buffer = SpanBuffer()

    def append(self, data: bytes, span: Span) -> None:
        self._buffer.append(data, span)

    def messages(self) -> Iterator[tuple[bytes, Span]]:
        """Each message that is complete, uncompressed, without its prefix."""
        while len(self._buffer) >= _PREFIX:
            prefix = self._buffer.peek(_PREFIX)
            compressed, length = prefix[0], int.from_bytes(prefix[1:], "big")
            if compressed > 1 or length > _LARGEST_MESSAGE:
                raise DecodeError(f"wanted a gRPC message's prefix, found {prefix.hex()}")
            if len(self._buffer) < _PREFIX + length:
                return
            data, span = self._buffer.take(_PREFIX + length)
            yield uncompressed(data[_PREFIX:], self.encoding if compressed else ""), span
