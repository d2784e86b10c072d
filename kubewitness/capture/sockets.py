"""Which process is behind each end of a connection, found by its socket when the connection opens.

A process of its own, with a packet socket (file descriptor 3) that shows it
only the openings of connections, so that it looks while the socket is there.

/proc/PID/net/tcp lists the sockets of a process's network namespace with
their inodes, and /proc/PID/fd says who holds an inode (proc(5)).
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubewitness.capture.barriers import OWNERS_PORT, answer, marker, stamp

Address = tuple[str, int]
Socket = tuple[str, Address, Address, str]  # inode, local end, remote end, state
_LISTEN = "0A"


class Owners:
    """``places`` maps addresses to namespaces of the run (``node1``) or to ``host``."""

    def __init__(self, run: Path, output: Path, places: Mapping[str, Any]) -> None:
        self._proc = run / "hostproc"
        self._registry = run / "processes.jsonl"
        self._places = dict(places["addresses"])
        self._named: dict[int, str] = {int(pid): name for pid, name in places["processes"].items()}
        self._suite = list(self._named)
        self._members: dict[str, list[int]] = {"host": [1]}
        self._read = 0
        self._output = output.open("a", buffering=1)

    def record(self, time_ns: int, client: Address, server: Address) -> None:
        """Writes one line: both ends and the processes that hold them, null where none was found."""
        self._learn()
        line = {
            "time_ns": time_ns,
            "client": client,
            "server": server,
            "client_process": self._owner(client, server),
            "server_process": self._owner(server, None),
        }
        self._output.write(json.dumps(line) + "\n")

    def _learn(self) -> None:
        with self._registry.open() as registry:
            registry.seek(self._read)
            for line in registry.read().splitlines():
                entry = json.loads(line)
                self._named[entry["pid"]] = entry["name"]
                self._members.setdefault(entry["ns"], []).append(entry["pid"])
            self._read = registry.tell()

    def _owner(self, local: Address, remote: Address | None) -> dict[str, Any] | None:
        place = self._places.get(local[0], "cp")
        inode = next((line[0] for line in self._sockets(place) if _is_end(line, local, remote)), None)
        pid = None if inode is None else self._holder(inode, place)
        return None if pid is None else {"component": self._name(pid), "pid": pid}

    def _sockets(self, place: str) -> Iterator[Socket]:
        """The TCP sockets of a namespace, as any one live process in it shows them."""
        # This process itself is in the control plane's namespace.
        viewers = ["/proc/self"] if place == "cp" else [self._proc / str(pid) for pid in self._members[place]]
        for viewer in viewers:
            try:
                tables = [Path(viewer, "net", table).read_text() for table in ("tcp", "tcp6")]
            except OSError:
                continue  # that one has ended; its neighbours show the same
            for line in "".join(tables).splitlines():
                fields = line.split()
                if fields[0] != "sl":
                    yield fields[9], _address(fields[1]), _address(fields[2]), fields[3]
            return

    def _holder(self, inode: str, place: str) -> int | None:
        """The process with that socket; first among those that were started in its namespace, latest first."""
        wanted = f"socket:[{inode}]"
        likely = [*reversed(self._members.get(place, [])), *self._suite]
        for pid in likely:
            if wanted in self._open_files(pid):
                return pid
        everyone = {int(each) for each in os.listdir(self._proc) if each.isdigit()}
        return next((pid for pid in everyone.difference(likely) if wanted in self._open_files(pid)), None)

    def _open_files(self, pid: int) -> set[str]:
        directory = self._proc / str(pid) / "fd"
        found = set()
        try:
            for each in os.listdir(directory):
                found.add(os.readlink(directory / each))
        except OSError:
            # It ended, closed a file or is shielded while it is looked at: what was read is still true.
            return found
        return found

    def _name(self, pid: int) -> str:
        return self._named.get(pid) or (self._proc / str(pid) / "comm").read_text().strip()


def _is_end(line: Socket, local: Address, remote: Address | None) -> bool:
    """Whether it is the socket local -> remote, or the listener on local where remote is None."""
    _, own, peer, state = line
    if remote is not None:
        return own == local and peer == remote
    return state == _LISTEN and own[1] == local[1] and own[0] in (local[0], "0.0.0.0", "::")  # noqa: S104


def _address(text: str) -> Address:
    """The kernel's hexadecimal address and port; IPv4 mapped into IPv6 becomes IPv4."""
    raw, port = text.split(":")
    words = struct.pack(f"={len(raw) // 8}I", *(int(raw[at : at + 8], 16) for at in range(0, len(raw), 8)))
    if len(words) == 16 and words.startswith(b"\0" * 10 + b"\xff\xff"):
        words = words[12:]
    family = socket.AF_INET if len(words) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, words), int(port, 16)


def _endpoints(frame: bytes) -> tuple[Address, Address]:
    at = 14 + (frame[14] & 15) * 4
    source, target = struct.unpack_from("!HH", frame, at)
    return (socket.inet_ntoa(frame[26:30]), source), (socket.inet_ntoa(frame[30:34]), target)


def main() -> None:
    output, run, places = sys.argv[1:]
    owners = Owners(Path(run), Path(output), json.loads(places))
    # A short connection must be looked at before it ends, whatever else wants the processor.
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    packets = socket.socket(fileno=3)
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("0.0.0.0", OWNERS_PORT))  # noqa: S104 - the namespace is the cluster's own
    while True:
        frame, ancillary, _, _ = packets.recvmsg(1 << 16, 256)
        if frame[23] == socket.IPPROTO_TCP:
            owners.record(stamp(ancillary), *_endpoints(frame))
        elif (payload := marker(frame, OWNERS_PORT)) is not None:
            answer(bound, payload, b"")


if __name__ == "__main__":
    main()
