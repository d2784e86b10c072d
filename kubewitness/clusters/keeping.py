"""The owner's side of a cluster's keeper: start it, ask it for processes, hear of their fate."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewitness.clusters import network
from kubewitness.clusters.errors import ClusterError

_KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the cluster. ``pid`` is the host's number for it."""

    name: str
    pid: int
    log: Path

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, for a message about its failure."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join("    " + line[:300] for line in text.splitlines()[-lines:])


class Keeper:
    """A connection to a keeper. The one that started it owns it: closing it ends the cluster."""

    def __init__(self, directory: Path, sock: socket.socket, started: subprocess.Popen[bytes] | None) -> None:
        self.directory = directory
        self._sock = sock
        self._started = started
        self._ids = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: dict[tuple[str, str], dict[str, Any]] = {}
        self._news = threading.Condition()
        self._closed = False
        self.processes: dict[str, Process] = {}
        self._dismissed: set[str] = set()
        self._marks: dict[str, int] = {}
        self._reader = threading.Thread(target=self._listen, name="keeper", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, directory: Path) -> Keeper:
        """Starts a keeper in new PID and mount namespaces, with ``directory`` as the run's own."""
        for each in ("logs", "notify"):
            (directory / each).mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs, (directory / "logs" / "keeper.log").open("ab") as log:
            started = subprocess.Popen(
                ["unshare", "--pid", "--mount", "--fork", "--kill-child=SIGKILL", "--", sys.executable,
                 "-I", "-S", str(_KEEPER), str(directory)],
                stdin=theirs.fileno(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        keeper = cls(directory, ours, started)
        keeper._await(("started", ""), 10.0, "the cluster's first process to start")
        return keeper

    @classmethod
    def join(cls, directory: Path) -> Keeper:
        """Connects to a running keeper without owning it."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(directory / "keeper.sock"))
        return cls(directory, sock, None)

    @property
    def pid(self) -> int:
        assert self._started is not None
        return self._started.pid

    def persist(self) -> None:
        """Let the cluster outlive this process."""
        self._ask("persist")

    def namespace(
        self,
        name: str,
        binds: Sequence[tuple[Path, str]] = (),
        tmpfs: Sequence[str] = (),
        sysctls: Mapping[str, str] | None = None,
    ) -> str:
        """Makes a network, mount and UTS namespace; returns the network's path for `ip`."""
        answer = self._ask(
            "namespace",
            name=name,
            binds=[[str(source), target] for source, target in binds],
            tmpfs=list(tmpfs),
            sysctls=dict(sysctls or {}),
        )
        return str(answer["net"])

    def adopt(self, name: str, pid: int, address: str, node: str, *, inside: bool) -> int:
        """Lets ``name`` mean the network namespace of a process that somebody else started.

        ``pid`` is the cluster's own number for it if it is ``inside``, else the host's, which is returned;
        ``address`` is one of the namespace's, ``node`` the node there.
        """
        answer = self._ask("adopt", name=name, pid=pid, address=address, node=node, inside=inside)
        return int(answer["pid"])

    def spawn(
        self,
        name: str,
        argv: Sequence[object],
        *,
        ns: str = "",
        env: Mapping[str, str] | None = None,
        notify: bool = False,
        stdin: Path | None = None,
        stdout: Path | None = None,
        captures: Sequence[Mapping[str, Any]] = (),
        stays: bool = True,
        marked: bool = True,
        cwd: Path | None = None,
    ) -> Process:
        """Starts a process; ``captures`` ask for packet sockets as its file descriptors from 3 on.

        One that ``stays`` is not to end before it is dismissed; see ``died``. Without being ``marked`` it
        keeps root's group, and the capture may not know it by its connections.
        """
        log = self.directory / "logs" / (name.replace("/", "_") + ".log")
        with self._news:
            (self._dismissed.discard if stays else self._dismissed.add)(name)
            for kind in ("exit", "ready"):
                self._events.pop((kind, name), None)
        answer = self._ask(
            "spawn",
            name=name,
            argv=[str(each) for each in argv],
            ns=ns,
            env={"PATH": os.defpath + ":/usr/sbin:/sbin", "HOME": str(self.directory), **(env or {})},
            notify=notify,
            mark=self._mark(name) if ns == "cp" and marked else 0,
            log=str(log),
            **({"cwd": str(cwd)} if cwd else {}),
            **({"stdin": str(stdin)} if stdin else {}),
            **({"stdout": str(stdout)} if stdout else {}),
            **({"captures": [dict(each) for each in captures]} if captures else {}),
        )
        process = Process(name, answer["pid"], log)
        self.processes[name] = process
        return process

    def _mark(self, name: str) -> int:
        """The number by which the connections of ``name`` are known; 0 when network.MARKS are given out."""
        if len(self._marks) < network.MARKS:
            self._marks.setdefault(name, len(self._marks) + 1)
        return self._marks.get(name, 0)

    def signal(self, name: str, sig: int) -> None:
        self._ask("signal", name=name, sig=sig)

    def wait_ready(self, name: str, within_s: float) -> None:
        """Waits for READY=1 from ``name``; a process that ends before is an error with its last words."""
        self._await(("ready", name), within_s, f"{name} to say that it is ready")

    def wait_exit(self, name: str, within_s: float) -> int:
        """Waits for ``name`` to end and returns its exit status (negative: the signal)."""
        return int(self._await(("exit", name), within_s, f"{name} to end")["status"])

    def run(self, name: str, argv: Sequence[object], *, within_s: float = 30.0, **more: Any) -> None:
        """Runs a command to its end; a status other than 0 is an error."""
        self.spawn(name, argv, stays=False, **more)
        if (status := self.wait_exit(name, within_s)) != 0:
            raise ClusterError(
                f"{name} failed with status {status}: {' '.join(map(str, argv))}\n"
                f"{self.processes[name].last_words()}"
            )

    def links(self, namespace: str, lines: Iterable[str]) -> None:
        """Lets `ip -batch` carry out lines in a namespace; "" is the host's."""
        label = namespace or "host"
        script = self.directory / f"links-{label}"
        script.write_text("\n".join(lines) + "\n")
        self.run(f"links/{label}", [shutil.which("ip") or "/sbin/ip", "-batch", script], ns=namespace)

    def ended(self, name: str) -> bool:
        with self._news:
            return ("exit", name) in self._events

    def dismiss(self, *names: str) -> None:
        """From now on these may end."""
        with self._news:
            self._dismissed.update(names)

    def died(self) -> str:
        """What has ended though nobody had it end, with its last words; "" if all is well."""
        with self._news:
            ended = {name: event for (kind, name), event in self._events.items() if kind == "exit"}
            found = [name for name in ended if name not in self._dismissed]
        return "\n".join(
            f"{name} has ended by itself with status {ended[name]['status']}:\n"
            f"{self.processes[name].last_words()}"
            for name in found
        )

    def close(self) -> None:
        """Lets go. If this is the owner, returns when every process of the cluster has ended."""
        self._closed = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno != 107:  # ENOTCONN: the keeper is gone already
                raise
        self._reader.join()
        self._sock.close()
        if self._started is not None:
            self._started.wait()

    def stop(self) -> None:
        """Ends the keeper and with it the whole cluster, whoever owns it."""
        self._sock.sendall(json.dumps({"id": next(self._ids), "op": "stop"}).encode() + b"\n")
        self.close()

    def _listen(self) -> None:
        received = bytearray()
        while data := self._receive():
            received += data
            *lines, rest = received.split(b"\n")
            received = bytearray(rest)
            with self._news:
                for line in lines:
                    message = json.loads(line)
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self._events[message["event"], message.get("name", "")] = message
                self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def _ask(self, op: str, **request: Any) -> dict[str, Any]:
        number = next(self._ids)
        try:
            self._sock.sendall(json.dumps({"id": number, "op": op, **request}).encode() + b"\n")
        except OSError as error:
            raise ClusterError(self._gone()) from error
        with self._news:
            self._news.wait_for(lambda: number in self._answers or self._closed)
            if number not in self._answers:
                raise ClusterError(self._gone())
            answer = self._answers.pop(number)
        if "error" in answer:
            raise ClusterError(f"{op} {request.get('name', '')}: {answer['error']}")
        return answer

    def _await(self, event: tuple[str, str], within_s: float, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        ended = ("exit", event[1])
        with self._news:
            self._news.wait_for(
                lambda: event in self._events or ended in self._events or self._closed,
                max(0.0, deadline - time.monotonic()),
            )
            if event in self._events:
                return self._events[event]
            if ended in self._events:
                status = self._events[ended]["status"]
                words = self.processes[event[1]].last_words()
                raise ClusterError(f"waited for {what}, but it ended with status {status}:\n{words}")
            if self._closed:
                raise ClusterError(self._gone())
        process = self.processes.get(event[1])
        raise ClusterError(
            f"waited {within_s:g} s for {what}; its log ends with:\n{process.last_words() if process else ''}"
        )

    def _gone(self) -> str:
        log = self.directory / "logs" / "keeper.log"
        words = log.read_text(errors="replace").strip() if log.exists() else ""
        return f"the cluster's first process is gone{': ' + words if words else ''}"
