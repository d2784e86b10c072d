"""A capture read back, while it grows or long after: packets and sockets into a history."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader

from kubewitness.capture.barriers import MARKER
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import UNKNOWN, Endpoint, Speaker
from kubewitness.wire.decoder import Decoder

API_PORTS, ETCD_PORTS = frozenset({8080}), frozenset({2379})
_MATCH_NS = 1_000_000_000


class BrokenEvidence(Exception):
    """Stored evidence cannot be read: what was wanted, what was found."""


class Sockets:
    """The processes behind connections, as the capture recorded them (``sockets.jsonl``)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._known: dict[tuple[Endpoint, Endpoint], list[tuple[int, Speaker, Speaker]]] = {}

    def learn(self) -> None:
        """Takes in the lines that were added since the last time."""
        if not self._file.exists():
            return
        with self._file.open() as lines:
            lines.seek(self._read)
            while (line := lines.readline()).endswith("\n"):
                try:
                    entry = json.loads(line)
                    key = Endpoint(*entry["client"]), Endpoint(*entry["server"])
                    pair = _speaker(entry["client_process"]), _speaker(entry["server_process"])
                    self._known.setdefault(key, []).append((entry["time_ns"], *pair))
                except (ValueError, KeyError, TypeError) as error:
                    raise BrokenEvidence(f"{self._file} is garbled at byte {self._read}: {error}") from error
                self._read = lines.tell()

    def speaker_of(self, local: Endpoint, remote: Endpoint, opened_ns: int) -> Speaker:
        """The process that held the socket ``local`` in the connection opened at that time."""
        for key, end in (((local, remote), 1), ((remote, local), 2)):
            for opened in self._known.get(key, []):
                if abs(opened[0] - opened_ns) < _MATCH_NS:
                    return opened[1] if end == 1 else opened[2]
        return UNKNOWN


def _speaker(process: dict[str, Any] | None) -> Speaker:
    return UNKNOWN if process is None else Speaker(process["component"], process["pid"])


class Reading:
    """The files of one capture in ``directory``, decoded as far as they have been written."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "capture.pcapng"
        self._sockets = Sockets(directory / "sockets.jsonl")
        self._decoder = Decoder(API_PORTS, ETCD_PORTS, self._sockets.speaker_of)
        self._packets: RawPcapNgReader | None = None
        self._frames = 0

    def read_to(self, frame: int) -> None:
        """Decodes up to packet number ``frame``; the capture must hold it."""
        self._sockets.learn()
        if self._packets is None:
            self._packets = self._open()
        while self._frames < frame:
            try:
                data, meta = self._packets._read_packet(size=1 << 18)
            except (EOFError, Scapy_Exception) as error:
                raise BrokenEvidence(
                    f"{self.file} should hold {frame} packets, but ends or is garbled after {self._frames}"
                ) from error
            self._frames += 1
            self._decoder.feed(self._frames, ((meta.tshigh << 32) + meta.tslow) * 1000, data)

    def _open(self) -> RawPcapNgReader:
        try:
            file = self.file.open("rb")
        except OSError as error:
            raise BrokenEvidence(f"{self.file} is no readable pcapng file: {error}") from error
        try:
            return RawPcapNgReader(file)  # type: ignore[arg-type]  # its metaclass takes files, too
        except (EOFError, Scapy_Exception) as error:
            file.close()
            raise BrokenEvidence(f"{self.file} is no readable pcapng file: {error}") from error

    def history(self, first: int, last: int, statistics: CaptureStatistics) -> History:
        """What the packets ``first`` to ``last`` showed, with the whole capture's connections and gaps."""
        self.read_to(last)
        whole = self._decoder.finish(statistics)
        inside = tuple(each for each in whole.observations if first <= each.last_frame <= last)
        return replace(whole, observations=inside)

    def holding(self, marker: bytes, first: int, last: int) -> tuple[list[int], list[int]]:
        """The packets from ``first`` to ``last`` in whose bytes ``marker`` appears: barriers, and others."""
        barriers: list[int] = []
        others: list[int] = []
        with self._open() as packets:
            for number in range(1, last + 1):
                data, _ = packets._read_packet(size=1 << 18)
                if number >= first and marker in data:
                    (barriers if MARKER in data else others).append(number)
        return barriers, others

    def close(self) -> None:
        if self._packets is not None:
            self._packets.close()
