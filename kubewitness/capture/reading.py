"""A capture read back, while it grows or long after: packets and sockets into a history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubewitness.capture.barriers import MARKER
from kubewitness.capture.files import BrokenCapture, Packet
from kubewitness.capture.growing import Growing
from kubewitness.capture.parts import Parts
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import UNKNOWN, Endpoint, Observation, Speaker
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.tls import KeyLog

FILE, KEYS_FILE = "capture.pcapng", "keys.log"
API_PORTS, API_TLS_PORTS, ETCD_PORTS = frozenset({8080}), frozenset({6443}), frozenset({2379})
_MATCH_NS = 1_000_000_000
_FORGET_EVERY = 5_000  # packets


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
    """The files of one capture in ``directory``, decoded as far as they have been written.

    TLS is opened where the directory has a key log, of the API server's and etcd's connections.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        self._sockets = Sockets(directory / "sockets.jsonl")
        self._keys = _Keys(directory / KEYS_FILE)
        ports = API_PORTS if self._keys.log is None else API_PORTS | API_TLS_PORTS
        self._decoder = Decoder(ports, ETCD_PORTS, self._sockets.speaker_of, self._keys.log)
        self._packets: Parts | None = None
        self._ahead: Packet | None = None  # read, and not yet decoded
        self._frame = 0  # of the last packet that was decoded

    def read_to(self, frame: int) -> None:
        """Decodes up to packet number ``frame``; the capture must hold it."""
        for _ in self._decoded(frame):
            pass

    def _decoded(self, frame: int) -> Iterator[Observation]:
        self._sockets.learn()
        self._keys.learn()
        if self._packets is None:
            self._packets = self._open()
        while self._frame < frame:
            packet = self._ahead or self._next(self._packets, frame)
            self._ahead = None
            self._frame += 1
            yield from self._decoder.feed(self._frame, packet.time_ns, packet.data, packet.link)

    def _with_losses(self, statistics: CaptureStatistics) -> CaptureStatistics:
        """With those that the capture tells itself, once all of it was read.

        Of a recording within a capture the barrier at its end has told; what was lost later is not missing
        in it. Both count from the capture's beginning, so they are not added.
        """
        if self._packets is None:
            return statistics
        if self._ahead is None:
            try:
                self._ahead = self._packets.next()
            except BrokenCapture:
                return statistics  # what is garbled lies behind what was asked for
        if self._ahead is not None:
            return statistics
        return replace(statistics, dropped=max(statistics.dropped, self._packets.lost))

    def _open(self) -> Parts:
        try:
            return Parts(self.file)
        except OSError as error:
            raise BrokenEvidence(f"{self.file} is no readable capture: {error}") from error

    def _next(self, packets: Parts, wanted: int) -> Packet:
        why = "ends"
        try:
            if packet := packets.next():
                return packet
        except BrokenCapture as error:
            why = f"is garbled ({error})"
        should = f"{self.file} should hold {wanted} packets, but {why} after {packets.packets}"
        raise BrokenEvidence(should if packets.name == str(self.file) else f"{should}, in {packets.name}")

    def history(self, first: int, last: int, statistics: CaptureStatistics) -> History:
        """What the packets ``first`` to ``last`` showed, with the whole capture's connections and gaps."""
        self.read_to(last)
        whole = self._decoder.finish(self._with_losses(statistics))
        inside = tuple(each for each in whole.observations if first <= each.last_frame <= last)
        return replace(whole, observations=inside)

    def stream(self, first: int, last: int) -> Iterator[Observation]:
        """What the packets ``first`` to ``last`` showed, message by message, none of which is kept.

        For captures that are too long for a history: what was decoded in this way, or lies before it, is in
        no later history of this reading. What is missing is still known.
        """
        while self._frame < last:
            until = min(last, self._frame + _FORGET_EVERY)
            for seen in self._decoded(until):
                if seen.last_frame >= first:
                    yield seen
            self._decoder.forget()

    def missing(self, statistics: CaptureStatistics) -> tuple[str, ...]:
        """What may be absent from all that was decoded so far."""
        return self._decoder.finish(self._with_losses(statistics)).missing

    def holding(self, marker: bytes, first: int, last: int) -> tuple[list[int], list[int]]:
        """The packets from ``first`` to ``last`` in whose bytes ``marker`` appears: barriers, and others."""
        barriers: list[int] = []
        others: list[int] = []
        for number, packet in self.packets(first, last):
            if marker in packet.data:
                (barriers if MARKER in packet.data else others).append(number)
        return barriers, others

    def packets(self, first: int, last: int) -> Iterator[tuple[int, Packet]]:
        """The packets ``first`` to ``last`` with their numbers, read as they are asked for."""
        if last < first:
            return
        with closing(self._open()) as packets:
            for number in range(1, last + 1):
                packet = self._next(packets, last)
                if number >= first:
                    yield number, packet

    def close(self) -> None:
        if self._packets is not None:
            self._packets.close()


class _Keys:
    """A key log that grows. There is none if its file is not there from the beginning."""

    def __init__(self, file: Path) -> None:
        self.log = KeyLog() if file.exists() else None
        self._lines = Growing(file)

    def learn(self) -> None:
        """Takes in the lines that were added since the last time."""
        if self.log is None:
            return
        known = self._lines.read
        try:
            self.log.learn(self._lines.lines().decode("ascii"))
        except (DecodeError, UnicodeDecodeError) as error:
            raise BrokenEvidence(f"{self._lines.file} is garbled behind byte {known}: {error}") from error
