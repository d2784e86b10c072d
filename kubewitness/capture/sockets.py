"""Which process is behind each end of a connection, found by its socket when the connection opens.

A process of its own, with a packet socket (file descriptor 3) that shows it
only the openings of connections, so that it looks while the socket is there:
the kernel tells the socket's inode, and /proc/PID/fd who holds it (proc(5)).
Components of the control plane are known without that: the kernel writes their
mark into the packet (clusters.network.marking). A scheduler may open hundreds
of connections in a second, so those have a packet socket of their own (file
descriptor 4), from which they are read together.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from kubewitness.capture.barriers import OWNERS_PORT, answer, barrier_in, stamp
from kubewitness.capture.sockdiag import Address, SocketTable

#: Each node has its own of these, and they are named accordingly.
_OF_NODES = ("kubelet", "kube-proxy")
#: A file table that changes while it is listed can hide a socket; a refused connection is gone for good.
_ATTEMPTS, _AGAIN_AFTER_S = 5, 0.004
#: As long as the capture's ring keeps a block: what is read later would be known later than its packets.
_TOGETHER_S = 0.05


@dataclass(slots=True)
class Opening:
    """A connection that was just opened."""

    time_ns: int
    client: Address
    server: Address
    mark: int
    attempts: int = 0


class Owners:
    """``places`` maps addresses to namespaces of the run (``node1``) or to ``host``."""

    def __init__(self, run: Path, output: Path, places: Mapping[str, Any]) -> None:
        self._proc = run / "hostproc"
        self._registry = (run / "processes.jsonl").open()  # it grows
        self._places = dict(places["addresses"])
        self._named: dict[int, str] = {int(pid): name for pid, name in places["processes"].items()}
        self._suite = list(self._named)
        self._members: dict[str, list[int]] = {"host": self._suite}
        self._tables: dict[str, SocketTable] = {}
        self._nodes: dict[str, str] = {}  # of namespaces that are whole nodes
        self._components = {int(mark): name for mark, name in places["marks"].items()}
        self._last: dict[str, int] = {}
        self._marked: dict[int, dict[str, Any]] = {}
        self._listeners: dict[str, tuple[int, str]] = {}  # by their sockets: the process, its file in /proc
        self._output = output.open("a", buffering=1)

    def record(self, opening: Opening) -> bool:
        """Writes one line: both ends and the processes that hold them, null where none was found.

        False, and nothing written, if an end was not found and ``opening`` may be tried again.
        """
        self._learn()
        client = (
            self._marked.get(opening.mark)
            or self._component(self._components.get(opening.mark, ""), opening.client)
            or self._owner(opening.client, opening.server)
        )
        found = [client, self._owner(opening.server, None)]
        opening.attempts += 1
        if None in found and opening.attempts < _ATTEMPTS:
            return False
        line = {
            "time_ns": opening.time_ns,
            "client": opening.client,
            "server": opening.server,
            "client_process": found[0],
            "server_process": found[1],
        }
        self._output.write(json.dumps(line) + "\n")
        return True

    def _learn(self) -> None:
        for line in self._registry.read().splitlines():
            entry = json.loads(line)
            if node := entry.get("node"):  # what runs there was started by others, and is named by itself
                self._places[entry["address"]] = entry["ns"]
                self._nodes[entry["ns"]] = node
            else:
                self._named[entry["pid"]] = entry["name"]
            if entry["mark"]:
                self._marked[entry["mark"]] = {"component": entry["name"], "pid": entry["pid"]}
            self._members.setdefault(entry["ns"], []).append(entry["pid"])

    def _owner(self, local: Address, remote: Address | None) -> dict[str, Any] | None:
        place = self._places.get(local[0], "cp")
        table = self._table(place)
        if table is None:
            return None
        inode = table.inode(local, remote)
        look = self._listener if remote is None else self._holder
        found = look(f"socket:[{inode}]", place) if inode else None
        name = None if found is None else self._name(found[0], place)
        return {"component": name, "pid": found[0]} if found and name else None

    def _component(self, name: str, local: Address) -> dict[str, Any] | None:
        """A component that its mark names, and that others started, so that its process has to be found.

        One that has ended meanwhile is named all the same, with the last process that was found of it, or 0.
        """
        if not name:
            return None
        place = self._places.get(local[0], "cp")
        # Only one that is not among the likely ones is worth a look at every process of the host.
        for pid in chain(reversed(self._members.get(place, [])), self._others(place)):
            if program_of(self._proc / str(pid)) == name:
                if pid not in self._members[place]:
                    self._members[place].append(pid)
                self._last[name] = pid
                break
        return {"component": name, "pid": self._last.get(name, 0)}

    def _table(self, place: str) -> SocketTable | None:
        for pid in self._members.get(place, []) if place not in self._tables else []:
            try:
                self._tables[place] = SocketTable(self._proc / str(pid) / "ns" / "net")
                break
            except OSError:
                continue  # that process has ended; any other of the place will do
        return self._tables.get(place)

    def _listener(self, wanted: str, place: str) -> tuple[int, str] | None:
        """The same of a listener, which is one for connection after connection."""
        known = self._listeners.get(wanted)
        if known and _link(known[1]) == wanted:
            return known
        found = self._holder(wanted, place)
        if found:
            self._listeners[wanted] = found
        return found

    def _holder(self, wanted: str, place: str) -> tuple[int, str] | None:
        """The process with that socket and its file in /proc, looked for first among those started there."""
        likely = [*reversed(self._members[place]), *self._suite, *self._loads()]
        if found := self._first(likely, wanted):
            return found
        if place in self._nodes:
            return self._found_there(place, wanted)
        everyone = {int(each.name) for each in self._proc.iterdir() if each.name.isdigit()}
        return self._first(everyone.difference(likely), wanted)

    def _first(self, pids: Iterable[int], wanted: str) -> tuple[int, str] | None:
        return next(((pid, file) for pid in pids if (file := self._file(pid, wanted))), None)

    def _loads(self) -> Iterator[int]:
        """What the suite has started for itself: each may open connections by the hundred."""
        for suite in self._suite:
            for child in children_of(self._proc / str(suite)):
                if name := named_by_itself(self._proc / str(child)):
                    self._named[child] = name
                    yield child

    def _found_there(self, place: str, wanted: str) -> tuple[int, str] | None:
        """The same where a whole node lives, started by others: whoever is found is likely from now on.

        Nobody else has a socket there, and to look into every process of the host takes too long.
        """
        found = self._first(self._others(place), wanted)
        if found:
            self._members[place].append(found[0])
        return found

    def _others(self, place: str) -> Iterator[int]:
        """The processes that are in the network of ``place``."""
        there = _link(f"{self._proc}/{self._members[place][0]}/ns/net")
        for each in self._proc.iterdir():
            if each.name.isdigit() and _link(f"{each}/ns/net") == there:
                yield int(each.name)

    def _file(self, pid: int, wanted: str) -> str:
        """Where the process has that socket open; "" if it has not, has ended, or is shielded."""
        directory = f"{self._proc}/{pid}/fd"
        try:
            numbers = os.listdir(directory)  # noqa: PTH208 - a path object for each file takes too long here
        except OSError:
            return ""
        # The newest files have the highest numbers, and the socket is new.
        paths = (f"{directory}/{number}" for number in reversed(numbers))
        return next((path for path in paths if _link(path) == wanted), "")

    def _name(self, pid: int, place: str) -> str:
        if known := self._named.get(pid):
            return known
        name = program_of(self._proc / str(pid)) or named_by_itself(self._proc / str(pid))
        return f"{name}/{self._nodes[place]}" if name in _OF_NODES and place in self._nodes else name


def program_of(process: Path) -> str:
    """What a process, given as its directory in /proc, was started as; "" if it has ended.

    The kernel's own name for it has at most 15 characters.
    """
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return ""
    return command.partition(b"\0")[0].decode(errors="replace").rpartition("/")[2]


def named_by_itself(process: Path) -> str:
    """What a process wants to be called, or the kernel calls it; "" if it has ended."""
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def children_of(process: Path) -> list[int]:
    """Those that it started and that have not ended; none where the kernel does not tell."""
    try:
        told = [(thread / "children").read_text() for thread in (process / "task").iterdir()]
    except OSError:
        return []
    return [int(child) for each in told for child in each.split()]


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - likewise
    except OSError:
        return ""  # closed since it was listed


def opening(frame: bytes, time_ns: int) -> Opening | None:
    """The connection whose first packet this is; None for anything else."""
    if frame[12:14] == b"\x86\xdd" and frame[20] == socket.IPPROTO_TCP:
        family, at, addresses, mark = (
            socket.AF_INET6,
            54,
            (frame[22:38], frame[38:54]),
            0,
        )  # none is written there
    elif frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP:
        at = 14 + (frame[14] & 15) * 4
        family, addresses, mark = socket.AF_INET, (frame[26:30], frame[30:34]), frame[15] >> 2
    else:
        return None
    ports = struct.unpack_from("!HH", frame, at)
    client, server = (
        (socket.inet_ntop(family, each), port) for each, port in zip(addresses, ports, strict=True)
    )
    return Opening(time_ns, client, server, mark)


class Looking:
    """Has ``owners`` record what two packet sockets show; of the ``marked`` nothing is lost by waiting."""

    def __init__(self, owners: Owners, urgent: socket.socket, marked: socket.socket) -> None:
        self._owners = owners
        self._urgent, self._marked = urgent, marked
        self._answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._answers.bind(("0.0.0.0", OWNERS_PORT))  # noqa: S104 - the namespace is the cluster's own
        self._pending: list[Opening] = []
        self._due: float | None = None  # when the marked ones are to be read, if there are any

    def run(self) -> None:
        while True:
            awaited = [self._urgent] if self._due else [self._urgent, self._marked]
            ready, _, _ = select.select(awaited, [], [], self._patience())
            if self._urgent in ready:
                self._look()
            elif ready:
                self._due = time.monotonic() + _TOGETHER_S
            else:
                self._retry()
            if self._due and self._due <= time.monotonic():
                self._read_marked()

    def _patience(self) -> float | None:
        """Seconds."""
        if self._pending:
            return _AGAIN_AFTER_S
        return max(0.0, self._due - time.monotonic()) if self._due else None

    def _look(self) -> None:
        frame, ancillary, _, _ = self._urgent.recvmsg(1 << 16, 256)
        if opened := opening(frame, stamp(ancillary)):
            self._record(opened)
        elif (barrier := barrier_in(frame, OWNERS_PORT)) is not None:
            self._read_marked()
            while self._pending:
                self._retry()
            answer(self._answers, barrier, b"")

    def _read_marked(self) -> None:
        self._due = None
        while True:
            try:
                frame, ancillary, _, _ = self._marked.recvmsg(1 << 10, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if opened := opening(frame, stamp(ancillary)):
                self._record(opened)

    def _record(self, opened: Opening) -> None:
        if not self._owners.record(opened):
            self._pending.append(opened)

    def _retry(self) -> None:
        self._pending = [each for each in self._pending if not self._owners.record(each)]


def main() -> None:
    output, run, places = sys.argv[1:]
    owners = Owners(Path(run), Path(output), json.loads(places))
    # A short connection must be looked at before it ends, whatever else wants the processor.
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    Looking(owners, socket.socket(fileno=3), socket.socket(fileno=4)).run()


if __name__ == "__main__":
    main()
