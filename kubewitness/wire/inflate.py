"""Gzip as it arrives: any number of members, each byte of output as soon as it is there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from kubewitness.wire.errors import DecodeError

#: Most output of one piece of input; far above the largest list that an API server sends in one answer.
_LARGEST = 512 << 20


class Inflater:
    """Unpacks a stream of gzip members.

    The API server writes a watch as one member per flush (since Kubernetes
    1.37), so the end of a member is not the end of the stream.
    """

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self.complete = True  # no member is half read

    def feed(self, data: bytes) -> bytes:
        """What ``data`` adds to the output."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The same, member by member, so that what comes before damage is not lost. Take all of them."""
        size, total = len(data), 0
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                plain = self._member.decompress(data, _LARGEST)
            except zlib.error as error:
                raise DecodeError(f"gzip data is damaged: {error}") from error
            total += len(plain)
            if self._member.unconsumed_tail or total > _LARGEST:
                raise DecodeError(f"{size} bytes of gzip hold more than {_LARGEST} bytes")
            data = self._member.unused_data
            self.complete = self._member.eof
            yield plain


def inflater_of(encoding: str) -> Inflater | None:
    """What unpacks a Content-Encoding or grpc-encoding; None where nothing is packed."""
    if encoding in ("", "identity"):
        return None
    if encoding != "gzip":
        raise DecodeError(f"wanted a body in gzip or as it is, found encoding {encoding!r}")
    return Inflater()
