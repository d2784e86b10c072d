"""What every server of files or disks can do, and how its programs are started and asked."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubewitness.clusters import network
from kubewitness.clusters.errors import ClusterError, HostLacks
from kubewitness.clusters.keeping import Keeper, Process

Source = dict[str, Any]
ADDRESS = network.CONTROL_PLANE
START_S = 30.0
ANSWER_S = 60.0
#: The packages that have the programs, as Debian names them.
PACKAGES = {
    "ganesha.nfsd": "nfs-ganesha-vfs",
    "tgtd": "tgt", "tgtadm": "tgt",
    "monmaptool": "ceph-common", "ceph": "ceph-common", "rbd": "ceph-common",
    "ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd",
    "glusterd": "glusterfs-server", "gluster": "glusterfs-cli",
}  # fmt: skip
_LISTENING, _ESTABLISHED = "0A", "01"


@dataclass(frozen=True, slots=True)
class Offer:
    """The source of a pod's volume, and the objects by which a pod's namespace has access to it."""

    source: Source
    objects: tuple[dict[str, Any], ...] = ()


class Server(Protocol):
    """One that is up."""

    def offer(self) -> Offer:
        """Something new and empty."""

    def holds(self, source: Source, text: str) -> bool:
        """Whether a text is somewhere in what the server itself keeps of it."""

    def users(self, source: Source) -> list[str]:
        """Who uses it at this moment: the addresses or names by which the server knows them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A row of the kernel's table of TCP sockets; ``port`` is the one on this side."""

    port: int
    remote: str
    state: str


class Programs:
    """The programs of one server, run in the control plane's namespaces, as root and of root's group."""

    def __init__(self, directory: Path, keeper: Keeper) -> None:
        self.directory = directory
        self._keeper = keeper
        self._asking = threading.Lock()  # a process has one name, and drives run side by side

    def serve(self, name: str, *arguments: object, port: int) -> Process:
        """Starts a server; returns when it listens on ``port``."""
        process = self._keeper.spawn(name, [find_program(name), *arguments], ns="cp", marked=False)
        until = time.monotonic() + START_S
        # These servers tell nobody that they are ready; that their port is open can only be looked up.
        while not self._keeper.ended(name) and time.monotonic() < until:
            if any((each.port, each.state) == (port, _LISTENING) for each in _connections(process)):
                return process
            time.sleep(0.02)
        self._keeper.dismiss(name)  # the cluster goes on without it
        raise ClusterError(f"{name} does not listen on port {port}:\n{process.last_words()}")

    def ask(self, name: str, *arguments: object) -> str:
        """Runs a program to its end; returns what it says."""
        told = self.directory / "told"
        argv = [find_program(name), *arguments]
        with self._asking:
            self._keeper.run(name, argv, ns="cp", stdout=told, marked=False, within_s=ANSWER_S)
            return told.read_text()


def find_program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise HostLacks(
            f"{name}, of the server for this volume, is not on PATH: install the package {PACKAGES[name]}"
        )
    return found


def clients(process: Process, port: int) -> list[str]:
    """The addresses from which somebody is connected to a server's port."""
    table = _connections(process)
    return sorted({each.remote for each in table if (each.port, each.state) == (port, _ESTABLISHED)})


def connections(table: str) -> Iterator[Connection]:
    """The rows of /proc/net/tcp or tcp6; of addresses of IPv6 only those that stand for IPv4's."""
    for line in table.splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        # The last four bytes are the address of IPv4, in the host's order.
        address = int(remote.partition(":")[0][-8:], 16).to_bytes(4, "little")
        yield Connection(int(local.partition(":")[2], 16), socket.inet_ntoa(address), state)


def _connections(process: Process) -> list[Connection]:
    """Those of the network namespace in which a process runs; none once it has ended."""
    try:
        tables = [Path(f"/proc/{process.pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    except OSError:
        return []
    return [each for table in tables for each in connections(table)]


def any_file_holds(directory: Path, text: str) -> bool:
    files = (each for each in directory.rglob("*") if each.is_file())
    return any(text.encode() in each.read_bytes() for each in files)
