"""Connections are found as they open, and their sockets by their addresses."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kubewitness.capture.sockdiag import SocketTable
from kubewitness.capture.sockets import opening
from kubewitness.model.observation import Endpoint
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
