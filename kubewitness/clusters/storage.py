"""Servers of files and disks beside a local cluster, for the volumes that its pods mount over the network.

They are real ones, in user space since a host's kernel may have none, and run in the control plane's
namespaces: they end with the cluster, and keep all their files in the run's directory. Each starts when it is
first asked for; only then are the packages missed that have it.
"""

from __future__ import annotations

import itertools
import mmap
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubewitness.clusters import network
from kubewitness.clusters.errors import ClusterError, HostLacks
from kubewitness.clusters.keeping import Keeper, Process

START_S = 30.0
NFS_PORT, ISCSI_PORT = 2049, 3260
ADDRESS = network.CONTROL_PLANE
_EXPORTS = "/exports"
#: The packages that have the servers' programs, as Debian names them.
PACKAGES = {"ganesha.nfsd": "nfs-ganesha-vfs", "tgtd": "tgt", "tgtadm": "tgt"}
_LISTENING, _ESTABLISHED = "0A", "01"


class Storage:
    """The servers of one cluster."""

    def __init__(self, directory: Path, keeper: Keeper) -> None:
        self._directory = directory.resolve()
        self._keeper = keeper
        self._starting = threading.Lock()  # drives run side by side
        self._nfs: NfsServer | None = None
        self._iscsi: IscsiServer | None = None

    def nfs(self) -> NfsServer:
        with self._starting:
            self._nfs = self._nfs or NfsServer.start(self._directory / "nfs", self._keeper)
        return self._nfs

    def iscsi(self) -> IscsiServer:
        with self._starting:
            self._iscsi = self._iscsi or IscsiServer.start(self._directory / "iscsi", self._keeper)
        return self._iscsi


class NfsServer:
    """NFS-Ganesha, serving NFSv4 alone: that takes no port mapper and no lock manager."""

    def __init__(self, exports: Path, process: Process) -> None:
        self._exports = exports
        self._process = process

    @classmethod
    def start(cls, directory: Path, keeper: Keeper) -> NfsServer:
        program = find_program("ganesha.nfsd")
        exports, state = directory / "exports", directory / "state"
        for each in (exports, state):
            each.mkdir(parents=True)
        configuration = directory / "ganesha.conf"
        configuration.write_text(ganesha(exports, state))
        argv = [program, "-F", "-L", "STDERR", "-f", configuration, "-p", directory / "pid"]
        process = keeper.spawn("ganesha.nfsd", argv, ns="cp")
        _wait_listening(keeper, process, NFS_PORT)
        return cls(exports, process)

    def export(self) -> dict[str, str]:
        """A new, empty directory that is served, as a volume's source."""
        name = secrets.token_hex(4)
        (self._exports / name).mkdir()
        return {"server": ADDRESS, "path": f"{_EXPORTS}/{name}"}

    def file(self, path: str, name: str) -> str | None:
        """What a file of the directory served at ``path`` says in the server's own; None if there is none."""
        file = self._exports / Path(path).relative_to(_EXPORTS) / name
        return file.read_text() if file.exists() else None

    def clients(self) -> list[str]:
        """The addresses of those that are connected."""
        table = _connections(self._process)
        return sorted({each.remote for each in table if (each.port, each.state) == (NFS_PORT, _ESTABLISHED)})


def ganesha(exports: Path, state: Path) -> str:
    """Its configuration. Without a grace period: no client has anything to reclaim from a new server."""
    return f"""\
NFS_CORE_PARAM {{
  Protocols = 4; NFS_Port = {NFS_PORT}; Bind_addr = {ADDRESS}; Enable_UDP = false; Enable_RQUOTA = false;
}}
NFSv4 {{ Graceless = true; RecoveryRoot = "{state}"; Only_Numeric_Owners = true; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
  Export_Id = 1; Path = "{exports}"; Pseudo = "{_EXPORTS}"; Protocols = 4; SecType = sys;
  Access_Type = RW; Squash = no_root_squash; FSAL {{ Name = VFS; }}
}}
"""


class IscsiServer:
    """The Linux target framework (tgt), in user space, with a file behind each disk."""

    def __init__(self, directory: Path, keeper: Keeper) -> None:
        self._directory = directory
        self._keeper = keeper
        self._program = find_program("tgtadm")
        self._asking = threading.Lock()  # its process has one name
        self._numbers = itertools.count(1)
        self._targets: dict[str, int] = {}

    @classmethod
    def start(cls, directory: Path, keeper: Keeper) -> IscsiServer:
        program = find_program("tgtd")
        directory.mkdir(parents=True)
        argv = [program, "-f", "--iscsi", f"portal={ADDRESS}:{ISCSI_PORT}"]
        # It takes orders only from processes of its own user and group.
        process = keeper.spawn("tgtd", argv, ns="cp", marked=False)
        _wait_listening(keeper, process, ISCSI_PORT)
        return cls(directory, keeper)

    def target(self, size_mib: int) -> dict[str, object]:
        """A new, empty disk that anybody may use, as a volume's source."""
        number, name = next(self._numbers), f"iqn.2026-01.example.kubewitness:{secrets.token_hex(4)}"
        disk = self._disk(number)
        with disk.open("wb") as file:
            file.truncate(size_mib << 20)
        of = ("--tid", str(number))
        self._administer("--mode", "target", "--op", "new", *of, "--targetname", name)
        # Number 0 is the target's own controller.
        self._administer(
            "--mode", "logicalunit", "--op", "new", *of, "--lun", "1", "--backing-store", str(disk)
        )
        self._administer("--mode", "target", "--op", "bind", *of, "--initiator-address", "ALL")
        self._targets[name] = number
        return {"targetPortal": f"{ADDRESS}:{ISCSI_PORT}", "iqn": name, "lun": 1, "fsType": "ext4"}

    def initiators(self, iqn: str) -> list[str]:
        """The names of those that have a session with a target."""
        return initiators(
            self._administer("--mode", "conn", "--op", "show", "--tid", str(self._targets[iqn]))
        )

    def holds(self, iqn: str, text: str) -> bool:
        """Whether a text is somewhere in the blocks of a target's disk."""
        with (
            self._disk(self._targets[iqn]).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blocks,
        ):
            return blocks.find(text.encode()) >= 0

    def _disk(self, number: int) -> Path:
        return self._directory / f"disk{number}"

    def _administer(self, *arguments: str) -> str:
        told = self._directory / "told"
        with self._asking:
            argv = [self._program, "--lld", "iscsi", *arguments]
            self._keeper.run("tgtadm", argv, ns="cp", stdout=told, marked=False)
            return told.read_text()


def initiators(told: str) -> list[str]:
    """Whom tgtadm names as connected."""
    return sorted(re.findall(r"^\s*Initiator: (\S+)", told, re.MULTILINE))


def find_program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise HostLacks(
            f"{name} serves this volume, and is not on PATH: install the package {PACKAGES[name]}"
        )
    return found


@dataclass(frozen=True, slots=True)
class Connection:
    """A row of the kernel's table of TCP sockets; ``port`` is the one on this side."""

    port: int
    remote: str
    state: str


def connections(table: str) -> Iterator[Connection]:
    """The rows of /proc/net/tcp or tcp6; of addresses of IPv6 only those that stand for IPv4's."""
    for line in table.splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        # The last four bytes are the address of IPv4, in the host's order.
        address = int(remote.partition(":")[0][-8:], 16).to_bytes(4, "little")
        yield Connection(int(local.partition(":")[2], 16), socket.inet_ntoa(address), state)


def _connections(process: Process) -> list[Connection]:
    """Those of the network namespace in which a process runs."""
    tables = (Path(f"/proc/{process.pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return [each for table in tables for each in connections(table)]


def _wait_listening(keeper: Keeper, process: Process, port: int) -> None:
    """These servers tell nobody that they are ready; that their port is open can only be looked up."""
    until = time.monotonic() + START_S
    while keeper.ended(process.name) is None and time.monotonic() < until:
        if any((each.port, each.state) == (port, _LISTENING) for each in _connections(process)):
            return
        time.sleep(0.02)
    raise ClusterError(f"{process.name} does not listen on port {port}:\n{process.last_words()}")
