"""Packets into pcapng files: in parts, up to a bound, with the secrets that open them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from kubewitness import __version__
from kubewitness.capture import pcapng
from kubewitness.capture.files import Packet
from kubewitness.capture.growing import Growing
from kubewitness.capture.parts import part

#: What Wireshark still opens at ease, and more than any run of the suites has needed so far.
PART_BYTES, MOST_BYTES = 1 << 29, 1 << 34
_NO_COMMENTS: Mapping[int, str] = MappingProxyType({})


class Store:
    """Writes the parts of one capture, of which ``first`` is the first.

    A part that has reached ``part_bytes`` is followed by another, which has its own descriptions of the
    interfaces and all secrets so far. From the first packet on that cannot be written, because the disk is
    full or because ``most_bytes`` are reached, none is: numbers of packets stay places in the files, and
    HTTP/2 could not be read behind a gap anyway. ``unwritten`` counts them and ``why`` tells the reason.
    """

    def __init__(
        self,
        first: Path,
        keys: Path | None = None,
        *,
        part_bytes: int = PART_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Raises OSError if the first part cannot be made."""
        self.packets = 0
        self.unwritten = 0
        self.why = ""
        self._first = first
        self._keys = Growing(keys) if keys else None
        self._secrets = b""
        self._part_bytes, self._most_bytes = part_bytes, most_bytes
        self._number = 0
        self._file: int
        self._size = 0  # of this part
        self._before = 0  # of all parts before it
        self._begin_part()

    def _begin_part(self) -> None:
        mode = 0o600 if self._keys else 0o644  # secrets are for whoever started this
        name = part(self._first, self._number + 1)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        if self._number:
            os.close(self._file)
        self._file = file
        self._before += self._size
        self._number += 1
        self._size = 0
        self._packets = pcapng.Packets()
        comment = "" if self._number == 1 else (
            f"part {self._number} of a capture; its first packet is number {self.packets + 1} of the whole"
        )  # fmt: skip
        known = pcapng.secrets(self._secrets) if self._secrets else b""
        self._append(pcapng.section(f"kubewitness {__version__}", comment) + known)

    def write(self, packets: Sequence[Packet], comments: Mapping[int, str] = _NO_COMMENTS) -> None:
        """Makes packets readable, with ``comments`` for some of them by their place in ``packets``."""
        if not self.why:
            try:
                self._write(packets, comments)
                self.packets += len(packets)
                return
            except OSError as error:
                file = error.filename or part(self._first, self._number)
                self.why = f"it ended early ({file}: {error.strerror})"
                print(f"the capture ends with packet {self.packets}: {self.why}", file=sys.stderr, flush=True)
        self.unwritten += len(packets)

    def _write(self, packets: Sequence[Packet], comments: Mapping[int, str]) -> None:
        if self._size >= self._part_bytes:
            self._begin_part()
        # A component writes the secrets of a connection before it sends what they open.
        learnt = self._keys.lines() if self._keys else b""
        self._secrets += learnt
        block = self._packets.block
        if comments:
            blocks = [block(each, comments.get(place, "")) for place, each in enumerate(packets)]
        else:
            blocks = [block(each) for each in packets]
        self._append((pcapng.secrets(learnt) if learnt else b"") + b"".join(blocks))

    def _append(self, content: bytes) -> None:
        """All of it or nothing, so that the file ends behind a whole block."""
        if self._before + self._size + len(content) > self._most_bytes:
            raise OSError(errno.EFBIG, f"the bound of {self._most_bytes} bytes is reached")
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        os.close(self._file)
