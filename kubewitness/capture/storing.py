"""Packets into pcapng files: in parts, up to a bound, with the secrets that open them."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

from kubewitness import __version__
from kubewitness.capture import pcapng
from kubewitness.capture.files import Packet
from kubewitness.capture.growing import Growing
from kubewitness.capture.parts import part

#: What Wireshark still opens at ease, and more than any run of the suites has needed so far.
PART_BYTES, MOST_BYTES = 1 << 29, 1 << 34
_INTERFACE: Callable[[Packet], str] = attrgetter("interface")
_NO_COMMENTS: Mapping[int, str] = MappingProxyType({})


class Store:
    """Writes the parts of one capture, of which ``first`` is the first.

    A part that has reached ``part_bytes`` is followed by another, which has its own descriptions of the
    interfaces and all secrets so far. Each part ends with the statistics of its interfaces, the last one when
    it is closed: ``lost`` tells how many packets the kernel had no room for so far. From the first packet on
    that cannot be written, because the disk is full or because ``most_bytes`` are reached, none is: numbers
    of packets stay places in the files, and HTTP/2 could not be read behind a gap anyway. ``unwritten``
    counts them, ``why`` tells the reason, and ``received`` has them, too.
    """

    def __init__(
        self,
        first: Path,
        keys: Path | None = None,
        *,
        lost: Callable[[], int] = int,
        part_bytes: int = PART_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Raises OSError if the first part cannot be made."""
        self.packets = 0
        self.unwritten = 0
        self.why = ""
        self.received: Counter[str] = Counter()  # by interface
        self._lost = lost
        self._began_ns = time.time_ns()
        self._first = first
        self._keys = Growing(keys) if keys else None
        self._secrets = b""
        self._part_bytes, self._most_bytes = part_bytes, most_bytes
        self._number = 0
        self._file: int
        self._size = 0  # of this part
        self._ended = False  # this part has its statistics
        self._before = 0  # of all parts before it
        self._begin_part()

    def _begin_part(self) -> None:
        if self._number:
            self._end_part()
        mode = 0o600 if self._keys else 0o644  # secrets are for whoever started this
        name = part(self._first, self._number + 1)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        if self._number:
            os.close(self._file)
        self._file = file
        self._before += self._size
        self._number += 1
        self._size = 0
        self._ended = False
        self._packets = pcapng.Packets()
        comment = "" if self._number == 1 else (
            f"part {self._number} of a capture; its first packet is number {self.packets + 1} of the whole"
        )  # fmt: skip
        known = pcapng.secrets(self._secrets) if self._secrets else b""
        self._append(pcapng.section(f"kubewitness {__version__}", comment) + known)

    def _end_part(self) -> None:
        if not self._ended:
            ended_ns = time.time_ns()
            self._put(self._packets.statistics(self._began_ns, ended_ns, self.received, self._lost()))
            self._ended = True

    def write(self, packets: Sequence[Packet], comments: Mapping[int, str] = _NO_COMMENTS) -> None:
        """Makes packets readable, with ``comments`` for some of them by their place in ``packets``."""
        if not self.received and packets:
            self._began_ns = min(self._began_ns, packets[0].time_ns)  # the socket was there before this
        self.received.update(map(_INTERFACE, packets))
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
        size = self._before + self._size + len(content) + self._packets.room_for_statistics
        if size > self._most_bytes:
            raise OSError(errno.EFBIG, f"the bound of {self._most_bytes} bytes is reached")
        self._put(content)

    def _put(self, content: bytes) -> None:
        """All of it or nothing, so that the file ends behind a whole block."""
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        try:
            self._end_part()
        except OSError as error:
            print(f"the capture ends without its statistics: {error.strerror}", file=sys.stderr, flush=True)
        os.close(self._file)
