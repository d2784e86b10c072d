"""Connections are found as they open, and their sockets by their addresses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubewitness.capture.barriers import OWNERS_PORT
from kubewitness.capture.sockdiag import SocketTable
from kubewitness.capture.sockets import opening
from kubewitness.clusters import keeper
from kubewitness.model.observation import Endpoint
from tests.capture.capturing import ask_once_there
from tests.capture.own_network import own_network
from tests.wire.traffic import SYN, packet

MARK = 5


@pytest.mark.parametrize("addresses", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "::1")], ids=["ipv4", "ipv6"])
def test_an_opening_names_its_ends(addresses: tuple[str, str]) -> None:
    client, server = (Endpoint(each, port) for each, port in zip(addresses, (40000, 6443), strict=True))
    found = opening(packet(client, server, 1, 0, SYN), 7)
    assert found is not None
    assert (found.client, found.server, found.time_ns) == (
        (addresses[0], 40000),
        (addresses[1], 6443),
        7,
    )


def test_an_opening_bears_the_mark_of_who_opens_it() -> None:
    marked = bytearray(packet(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), 1, 0, SYN))
    marked[15] = MARK << 2
    found = opening(bytes(marked), 0)
    assert found is not None
    assert found.mark == MARK


def test_what_is_no_tcp_opens_nothing() -> None:
    udp = bytearray(packet(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), 1, 0, SYN))
    udp[23] = socket.IPPROTO_UDP
    assert opening(bytes(udp), 0) is None
    assert opening(bytes(12) + b"\x08\x06" + bytes(60), 0) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_tells_a_sockets_inode(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    table = SocketTable(Path("/proc/self/ns/net"))
    with socket.create_server((address, 0), family=family) as server:
        bound = server.getsockname()[:2]
        with socket.create_connection(bound) as client:
            mine = client.getsockname()[:2]
            assert table.inode(mine, bound) == os.fstat(client.fileno()).st_ino
            assert table.inode(bound) == os.fstat(server.fileno()).st_ino
        assert table.inode((address, 1)) == 0
    table._netlink.close()


@contextmanager
def looking(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process as the keeper starts it, for a namespace in which this one runs, and what it writes."""
    (folder / "hostproc").symlink_to("/proc")
    entry = {"name": "tester", "pid": os.getpid(), "ns": "cp", "mark": 0}
    named = {"name": "marked", "pid": 1, "ns": "elsewhere", "mark": MARK}
    (folder / "processes.jsonl").write_text(f"{json.dumps(entry)}\n{json.dumps(named)}\n")
    seen = [keeper._packet_socket([]) for _ in range(2)]
    for sock, only in zip(seen, ("openings", "marked openings"), strict=True):
        keeper._attach(sock, [socket.if_nametoindex("lo")], only)
        keeper._listen_on_all_interfaces(sock)
    places: dict[str, dict[str, str]] = {"addresses": {}, "processes": {}, "marks": {}}
    told, fds = folder / "sockets.jsonl", [each.fileno() for each in seen]
    command = [sys.executable, "-m", "kubewitness.capture.sockets", told, folder, json.dumps(places)]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{fds[0]} 4<&{fds[1]}', "bash", *map(str, command)], pass_fds=fds
    )
    for each in seen:
        each.close()
    try:
        yield process, told
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN and CAP_NET_RAW")
def test_a_barrier_has_all_openings_told_those_with_a_mark_among_them(tmp_path: Path) -> None:
    with (
        own_network(),
        socket.create_server(("127.0.0.1", 0)) as server,
        looking(tmp_path) as (process, told),
    ):
        bound = server.getsockname()
        clients = []
        for mark in (0, MARK, MARK, 0, MARK):
            client = socket.socket()
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark << 2)
            client.connect(bound)
            clients.append(client)
        ask_once_there("127.0.0.1", OWNERS_PORT, lambda: process.poll() is None)
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        by_port = {each.getsockname()[1]: each for each in clients}
        assert {line["client"][1] for line in lines} == set(by_port)
        assert len(lines) == len(clients)
        for line in lines:
            marked = by_port[line["client"][1]].getsockopt(socket.IPPROTO_IP, socket.IP_TOS)
            assert line["client_process"]["component"] == ("marked" if marked else "tester")
            assert line["server_process"] == {"component": "tester", "pid": os.getpid()}
        for each in clients:
            each.close()
