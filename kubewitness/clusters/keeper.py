"""The first process of a cluster, run as PID 1 of the cluster's own PID and mount namespaces.

Everything a cluster is made of lives in kernel objects that only this process
keeps alive: its PID namespace, its mount namespace and the network namespaces
that it holds open. When it ends, however it ends, the kernel ends every
process of the cluster and frees the namespaces with their interfaces and
mounts. It ends when its owner goes away (end of file on standard input),
unless it was told to persist.

It speaks JSON lines on standard input's socket and on ``keeper.sock`` in the
run's directory. Requests carry an ``id`` that the answer repeats:

- ``namespace``: a network, mount and UTS namespace called ``name``; ``binds``
  is a list of [source, target] that are bound there, ``tmpfs`` of targets.
- ``adopt``: the network namespace of process ``pid``, which somebody else started, is
  called ``name`` from now on; ``address`` is one of its, and ``node`` its node. With
  ``inside`` the number is the cluster's own, else the host's. Answers with the host's.
- ``spawn``: starts ``argv`` as ``name`` in namespace ``ns``; answers with its
  process id as the host counts it. A ``mark`` above 0 becomes part of its
  group id, by which the kernel tells its connections apart (network.marking).
- ``signal``: sends ``sig`` to the process ``name``.
- ``persist``: outlive the owner. ``stop``: end, and the cluster with it.

Events go to every connection: ``{"event": "exit", "name", "status"}`` and
``{"event": "ready", "name"}``, the latter when a component says READY=1 on its
NOTIFY_SOCKET (sd_notify(3): etcd, kube-apiserver, kubelet and containerd do).

Run as a script with nothing but the standard library, since it starts on the
critical path of every cluster.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_REC, MS_PRIVATE, MS_SHARED, MS_BIND = 0x4000, 1 << 18, 1 << 20, 0x1000
SO_RCVBUFFORCE, SO_TIMESTAMPNS, SO_ATTACH_FILTER = 33, 35, 26
SOL_PACKET, PACKET_RX_RING, PACKET_VERSION, TPACKET_V3 = 263, 5, 10, 2
ETH_P_ALL = 3
CAPTURE_BUFFER_BYTES = 128 << 20
MARKED_GROUPS = 50000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()),
        f"mount {kind or 'flags'} on {target}",
    )


@dataclass
class Connection:
    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)


class Keeper:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host_proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        self.selector = selectors.DefaultSelector()
        self.connections: dict[int, Connection] = {}
        self.namespaces: dict[str, list[int]] = {}
        self.names: dict[int, str] = {}
        self.persistent = False
        self.owner = socket.socket(fileno=0)
        self._hold_lock()
        self._mount_proc()
        self._accept(self.owner)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(directory / "keeper.sock"))
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wakeup, end = socket.socketpair()
        for each in (self.wakeup, end):
            each.setblocking(False)  # noqa: FBT003 - the standard library's way
        signal.set_wakeup_fd(end.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
        self.selector.register(self.wakeup, selectors.EVENT_READ)
        self._end = end

    def _hold_lock(self) -> None:
        # The kernel lets go of it when this process ends: who can take it knows that the cluster is gone.
        self.lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def _mount_proc(self) -> None:
        # The host's view of processes stays reachable: the capture names sockets by the host's process ids.
        host_proc = self.directory / "hostproc"
        host_proc.mkdir()
        _mount("/proc", str(host_proc), "", MS_BIND | MS_REC)
        _mount("proc", "/proc", "proc", 0)

    def _accept(self, sock: socket.socket) -> None:
        self.connections[sock.fileno()] = Connection(sock)
        self.selector.register(sock, selectors.EVENT_READ)

    def run(self) -> None:
        self._tell_all({"event": "started"})
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._accept(self.listener.accept()[0])
                elif key.fileobj is self.wakeup:
                    self.wakeup.recv(4096)
                    self._reap()
                elif key.data is not None:
                    self._notified(key.fileobj, key.data)  # type: ignore[arg-type]
                else:
                    self._readable(self.connections[key.fd])

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self._hung_up(connection)
            return
        connection.received += data
        *lines, rest = connection.received.split(b"\n")
        connection.received = bytearray(rest)
        for line in lines:
            request = json.loads(line)
            answer: dict[str, Any] = {"id": request["id"]}
            try:
                answer |= getattr(self, "do_" + request["op"])(request) or {}
            except OSError as error:
                answer["error"] = str(error)
            self._tell(connection, answer)

    def _hung_up(self, connection: Connection) -> None:
        if connection.sock is self.owner and not self.persistent:
            os._exit(0)
        self.selector.unregister(connection.sock)
        del self.connections[connection.sock.fileno()]
        connection.sock.close()

    def _tell(self, connection: Connection, message: dict[str, Any]) -> None:
        try:
            connection.sock.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            # Its end of file is still to be read, and is acted on then.
            return

    def _tell_all(self, message: dict[str, Any]) -> None:
        for connection in list(self.connections.values()):
            self._tell(connection, message)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if name := self.names.pop(pid, None):
                code = os.waitstatus_to_exitcode(status)
                self._tell_all({"event": "exit", "name": name, "status": code, "time": time.time()})

    def _notified(self, sock: socket.socket, name: str) -> None:
        if b"READY=1" in sock.recv(4096):
            self._tell_all({"event": "ready", "name": name, "time": time.time()})

    # Requests

    def do_persist(self, _: dict[str, Any]) -> None:
        self.persistent = True

    def do_stop(self, _: dict[str, Any]) -> None:
        os._exit(0)

    def do_signal(self, request: dict[str, Any]) -> None:
        for pid, name in self.names.items():
            if name == request["name"]:
                os.kill(pid, request["sig"])
                return
        raise OSError(f"no process {request['name']} runs in this cluster")

    def do_namespace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Makes the namespaces in a child, takes hold of them, and lets the child go.

        Answers with the path, as processes of the cluster see it, of its network namespace.
        """
        ready, made = os.pipe()
        release, released = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(released)
            try:
                self._make_namespace(request)
                os.write(made, b"+")
                os.read(release, 1)
            except OSError as error:
                os.write(made, str(error).encode())
            os._exit(0)
        os.close(made)
        os.close(release)
        told = os.read(ready, 4096)
        if told == b"+":
            self.namespaces[request["name"]] = [
                os.open(f"/proc/{child}/ns/{kind}", os.O_RDONLY) for kind in ("net", "uts", "mnt")
            ]
        os.close(ready)
        os.close(released)
        if told != b"+":
            raise OSError(told.decode() or "the namespace's process ended early")
        return {"net": f"/proc/1/fd/{self.namespaces[request['name']][0]}"}

    def _make_namespace(self, request: dict[str, Any]) -> None:
        _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS), "unshare")
        socket.sethostname(request["name"])
        _mount("none", "/", "", MS_REC | MS_PRIVATE)
        for source, target in request.get("binds", []):
            _mount(source, target, "", MS_BIND)
        for target in request.get("tmpfs", []):
            _mount("tmpfs", target, "tmpfs", 0, "mode=755")
        # The runtime passes mounts between itself and pods, as it may on a node of its own.
        _mount("none", "/", "", MS_REC | MS_SHARED)
        for key, value in request.get("sysctls", {}).items():
            Path("/proc/sys", key.replace(".", "/")).write_text(value)

    def do_adopt(self, request: dict[str, Any]) -> dict[str, Any]:
        pid = request["pid"]
        if request["inside"]:
            network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            pid = self._host_pid(pid, os.fstat(network).st_ino)
        else:
            network = os.open(f"{pid}/ns/net", os.O_RDONLY, dir_fd=self.host_proc)
        self.namespaces[request["name"]] = [network]
        entry = {
            "name": request["node"], "pid": pid, "ns": request["name"],
            "mark": 0, "address": request["address"], "node": request["node"],
        }  # fmt: skip
        self._register(entry)
        return {"pid": pid}

    def _host_pid(self, pid: int, network: int) -> int:
        """The host's number of our process ``pid``, which is in the network namespace with that inode."""
        for each in os.listdir(self.host_proc):  # noqa: PTH208 - a file descriptor has no path
            try:
                if each.isdigit() and os.stat(f"{each}/ns/net", dir_fd=self.host_proc).st_ino == network:
                    status = (self.directory / "hostproc" / each / "status").read_text()
                    numbers = next(
                        line.split()[1:] for line in status.splitlines() if line.startswith("NSpid")
                    )
                    if numbers[1:2] == [str(pid)]:  # one for each of its namespaces, the host's first
                        return int(each)
            except OSError:
                continue  # it has ended since
        raise OSError(f"process {pid} has ended")

    def _register(self, entry: dict[str, Any]) -> None:
        with (self.directory / "processes.jsonl").open("a") as registry:
            registry.write(json.dumps(entry) + "\n")

    def do_spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        environment = dict(request["env"])
        if request.get("notify"):
            environment["NOTIFY_SOCKET"] = self._listen_for_ready(name)
        passed = [self._capture_socket(each) for each in request.get("captures", [])]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            self._become(request, environment, passed, write)
        os.close(write)
        for fd in passed:
            os.close(fd)
        with os.fdopen(read, "rb") as stream:
            host_pid, _, error = stream.read().partition(b"\n")
        if error:
            raise OSError(f"{request['argv'][0]}: {error.decode()}")
        self.names[child] = name
        entry = {
            "name": name, "pid": int(host_pid), "ns": request.get("ns", ""), "mark": request["mark"],
        }  # fmt: skip
        self._register(entry)
        return {"pid": int(host_pid)}

    def _become(self, request: dict[str, Any], env: dict[str, str], passed: list[int], report: int) -> None:
        """In the child: enter the namespaces, then be the program. Never returns."""
        try:
            os.write(report, os.readlink("self", dir_fd=self.host_proc).encode() + b"\n")
            for fd in self.namespaces.get(request.get("ns", ""), []):
                _check(_libc.setns(fd, 0), "setns")
            os.setsid()
            if request["mark"]:
                os.setgid(MARKED_GROUPS + request["mark"])
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            stdin = os.open(request.get("stdin", os.devnull), os.O_RDONLY)
            os.dup2(stdin, 0)
            stdout = request.get("stdout")
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if stdout else log, 1)
            os.dup2(log, 2)
            for target, fd in enumerate(passed, start=3):
                os.dup2(fd, target, inheritable=True)
            os.chdir(request.get("cwd", "/"))
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execve(request["argv"][0], request["argv"], env)
        except OSError as error:
            os.write(report, str(error).encode())
        os._exit(127)

    def _listen_for_ready(self, name: str) -> str:
        path = self.directory / "notify" / name.replace("/", "_")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        self.selector.register(sock, selectors.EVENT_READ, data=name)
        return str(path)

    def _capture_socket(self, request: dict[str, Any]) -> int:
        """A packet socket over all interfaces of namespace ``ns``: one queue, so one order.

        The queue is a ring where ``ring`` has the numbers of one (tpacket_req3), else the socket's buffer.

        Opened here, before any component is started, so that the first packet
        of the first connection is already in it while the capture's own
        process is still being loaded.
        """
        read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        child = os.fork()
        if child == 0:
            try:
                _check(_libc.setns(self.namespaces[request["ns"]][0], 0), "setns")
                sock = _packet_socket(request["ring"])
                _attach(
                    sock, [socket.if_nametoindex(each) for each in request["interfaces"]], request["only"]
                )
                _listen_on_all_interfaces(sock)
                socket.send_fds(write, [b"+"], [sock.fileno()])
            except OSError as error:
                write.sendall(str(error).encode())
            os._exit(0)
        write.close()
        told, fds, _, _ = socket.recv_fds(read, 4096, 1)
        read.close()
        if not fds:
            raise OSError(f"packet socket: {told.decode()}")
        return fds[0]


def _packet_socket(ring: list[int]) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # no protocol yet: nothing comes in
    except PermissionError as error:
        raise OSError("root lacks CAP_NET_RAW here, which a capture takes; grant it") from error
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    if not ring:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, CAPTURE_BUFFER_BYTES)
        return sock
    try:
        sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("7I", *ring))
    except OSError as error:
        size = f"{ring[0] * ring[1] >> 20} MiB"
        raise OSError(f"a ring of {size} for the capture cannot be had ({error.strerror})") from error
    return sock


def _attach(sock: socket.socket, interfaces: list[int], only: str) -> None:
    """A classic BPF program: packets of these interfaces, and loopback's (the first) only once.

    Loopback shows each packet twice, as it leaves and as it arrives. With
    ``only`` = "openings" nothing passes but UDP over IPv4 and the first
    packets of TCP connections, unless they bear a mark; with "marked
    openings" nothing but the first packets that do.
    """
    ancillary = -0x1000 & 0xFFFFFFFF
    ld, ldh, ldb, ldb_x, ldx_ihl, jeq, ja, and_, ret = 0x20, 0x28, 0x30, 0x50, 0xB1, 0x15, 0x05, 0x54, 0x06
    loopback, *others = interfaces
    accept = (ret, 0, 0, 0x40000)
    refuse = (ret, 0, 0, 0)
    unmarked, marked = (refuse, accept) if only == "marked openings" else (accept, refuse)
    openings = [
        (ldh, 0, 0, 12),
        (jeq, 0, 5, 0x86DD),
        (ldb, 0, 0, 14 + 6),
        (jeq, 1, 0, socket.IPPROTO_TCP),
        refuse,
        (ldb, 0, 0, 14 + 40 + 13),
        (ja, 0, 0, 9),  # to the flags
        (jeq, 1, 0, 0x0800),
        refuse,
        (ldb, 0, 0, 23),
        (jeq, 0, 1, socket.IPPROTO_UDP),
        unmarked,
        (jeq, 1, 0, socket.IPPROTO_TCP),
        refuse,
        (ldx_ihl, 0, 0, 14),
        (ldb_x, 0, 0, 14 + 13),
        (and_, 0, 0, 0x12),  # SYN and ACK
        (jeq, 1, 0, 0x02),
        refuse,
        (ldh, 0, 0, 12),
        (jeq, 0, 4, 0x0800),  # the others bear none
        (ldb, 0, 0, 15),
        (and_, 0, 0, 0xFC),  # DSCP
        (jeq, 1, 0, 0),
        marked,
        unmarked,
    ]
    # A jump's distance is counted from the instruction that follows it.
    payload = len(others) + 6
    program = [
        (ld, 0, 0, ancillary + 8),  # SKF_AD_IFINDEX
        (jeq, len(others) + 1, 0, loopback),
        *((jeq, payload - (3 + at), 0, index) for at, index in enumerate(others)),
        refuse,
        (ld, 0, 0, ancillary + 4),  # SKF_AD_PKTTYPE
        (jeq, 0, 1, socket.PACKET_OUTGOING),
        refuse,
        *([] if only == "everything" else openings),
        accept,
    ]
    code = b"".join(struct.pack("HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(code)
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    )


def _listen_on_all_interfaces(sock: socket.socket) -> None:
    # Python's bind() wants the name of one interface; index 0 is all of them.
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(ETH_P_ALL), 0, 0, 0, 0, b"")
    _check(_libc.bind(sock.fileno(), address, len(address)), "bind")


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).run()
