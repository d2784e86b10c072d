"""The capturing process as a cluster's keeper starts it, in the network namespace of the test."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kubewitness.capture.barriers import CAPTURE_PORT, ask
from kubewitness.capture.ring import CAPTURE
from kubewitness.clusters import keeper
from kubewitness.model.history import CaptureStatistics

ROOT = Path(__file__).parents[2]


class Capturing:
    def __init__(self, interfaces: Sequence[str], file: Path, *more: Path) -> None:
        self.sock = keeper._packet_socket([*CAPTURE.request])
        keeper._attach(self.sock, [socket.if_nametoindex(each) for each in interfaces], "everything")
        keeper._listen_on_all_interfaces(self.sock)
        self._arguments = [sys.executable, "-m", "kubewitness.capture.daemon", *map(str, (file, *more))]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        fd = self.sock.fileno()
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{fd}', "bash", *self._arguments],
            pass_fds=[fd], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.sock.close()

    def barrier(self, note: str = "") -> CaptureStatistics:
        process = self.process
        assert process is not None
        told = ask_once_there("127.0.0.1", CAPTURE_PORT, lambda: process.poll() is None, note)
        return CaptureStatistics.of(json.loads(told))

    def cpu_s(self) -> float:
        """Seconds on a processor so far (proc(5), schedstat)."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9


def ask_once_there(address: str, port: int, lives: Callable[[], bool], note: str = "") -> bytes:
    """A barrier past a process that may still be being loaded."""
    while True:
        assert lives(), f"the process that answers on port {port} has ended"
        try:
            return ask(address, port, note, within_s=60)
        except ConnectionRefusedError:
            continue


@contextmanager
def capturing(interfaces: Sequence[str], file: Path, *more: Path) -> Iterator[Capturing]:
    """The packet socket is open from here on; the process is started by ``start``."""
    made = Capturing(interfaces, file, *more)
    try:
        yield made
    finally:
        made.sock.close()
        if made.process is not None:
            made.process.kill()
            made.process.wait()
