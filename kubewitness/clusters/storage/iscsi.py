"""An iSCSI server: the Linux target framework (tgt), with a file behind each disk."""

from __future__ import annotations

import itertools
import mmap
import re
import secrets
from pathlib import Path

from kubewitness.clusters.storage.server import ADDRESS, Offer, Programs, Source

PORT = 3260
SIZE_BYTES = 64 << 20


class Iscsi:
    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._numbers = itertools.count(1)
        self._targets: dict[str, int] = {}
        programs.serve("tgtd", "-f", "--iscsi", f"portal={ADDRESS}:{PORT}", port=PORT)

    def offer(self) -> Offer:
        """A disk that anybody may use."""
        number, name = next(self._numbers), f"iqn.2026-01.example.kubewitness:{secrets.token_hex(4)}"
        disk = self._disk(number)
        with disk.open("wb") as file:
            file.truncate(SIZE_BYTES)
        self._administer("target", "new", number, "--targetname", name)
        # Number 0 is the target's own controller.
        self._administer("logicalunit", "new", number, "--lun", "1", "--backing-store", disk)
        self._administer("target", "bind", number, "--initiator-address", "ALL")
        self._targets[name] = number
        return Offer({"targetPortal": f"{ADDRESS}:{PORT}", "iqn": name, "lun": 1, "fsType": "ext4"})

    def holds(self, source: Source, text: str) -> bool:
        with (
            self._disk(self._targets[source["iqn"]]).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blocks,
        ):
            return blocks.find(text.encode()) >= 0

    def users(self, source: Source) -> list[str]:
        """The names of those that have a session with its target."""
        return initiators(self._administer("conn", "show", self._targets[source["iqn"]]))

    def _disk(self, number: int) -> Path:
        return self._programs.directory / f"disk{number}"

    def _administer(self, mode: str, operation: str, number: int, *more: object) -> str:
        what = ("--mode", mode, "--op", operation, "--tid", number)
        return self._programs.ask("tgtadm", "--lld", "iscsi", *what, *more)


def initiators(told: str) -> list[str]:
    """Whom tgtadm names as connected."""
    return sorted(re.findall(r"^\s*Initiator: (\S+)", told, re.MULTILINE))
