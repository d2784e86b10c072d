"""A capture in several files: ``capture.pcapng``, ``capture_00002.pcapng``, and so on, read as one."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

from kubewitness.capture.files import BrokenCapture, CaptureFile, Losses, Packet


def part(first: Path, number: int) -> Path:
    """The file with that number, counted from 1. By their names they are in order."""
    return first if number == 1 else first.with_name(f"{first.stem}_{number:05}{first.suffix}")


class Parts:
    """Reads packet after packet, as CaptureFile does, over all parts that are there, or come to be."""

    def __init__(self, first: Path, learn: Callable[[str], None] = lambda _: None) -> None:
        """Raises OSError if the first part cannot be opened."""
        self.first = first
        self.packets = 0
        self._learn = learn
        self._losses = Losses()
        self._number = 1
        self._open(first)

    def _open(self, file: Path) -> None:
        self._file = file.open("rb")
        self._read = CaptureFile(self._file, str(file), self._learn, self._losses)

    @property
    def lost(self) -> int:
        """How many packets the capture lost, as far as what was read of it tells."""
        return self._losses.packets

    @property
    def cut_off(self) -> bool:
        """The last part ends within something."""
        return self._read.cut_off

    @property
    def name(self) -> str:
        """The part that is being read."""
        return str(part(self.first, self._number))

    @property
    def gap(self) -> Path | None:
        """The part that should come next, if it is not there and a later one is."""
        following = part(self.first, self._number + 1)
        later = self.first.parent.glob(f"{glob.escape(self.first.stem)}_{'[0-9]' * 5}{self.first.suffix}")
        return following if any(each.name > following.name for each in later) else None

    def next(self) -> Packet | None:
        """The next packet; None when there is none, or none yet that is complete."""
        while (packet := self._read.next()) is None:
            following = part(self.first, self._number + 1)
            if not following.exists():
                return None
            # Before the following part was begun, this one may have grown once more.
            packet = self._read.next()
            if packet is not None:
                break
            if self._read.cut_off:
                cut = f"{self.name} ends within a block, behind packet {self.packets}"
                raise BrokenCapture(f"{cut}, and goes on in {following}")
            self._file.close()
            self._open(following)
            self._number += 1
        self.packets += 1
        return packet

    def close(self) -> None:
        self._file.close()
