"""A ring gives what passes, whole and in order, with the kernel's times, and tells what it lost."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubewitness.capture.files import Packet
from kubewitness.capture.ring import CAPTURE, LIVE, Ring, Shape, listen
from tests.capture.own_network import own_network

ROOT = Path(__file__).parents[2]
NEEDS_RAW = pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_NET_RAW")
SMALL = Shape(1 << 17, 4, 10)


@pytest.fixture
def sink() -> Iterator[socket.socket]:
    """Where the test's own packets go, so that they can be told from others' on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def send(sink: socket.socket, *payloads: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for each in payloads:
            sock.sendto(each, sink.getsockname())


def taken(ring: Ring, sink: socket.socket, count: int) -> list[Packet]:
    """The next ``count`` packets to ``sink``, of all that pass."""
    port = struct.pack("!H", sink.getsockname()[1])
    found: list[Packet] = []
    while len(found) < count:
        ring.wait()
        while (packets := ring.take()) is not None:
            found += [each for each in packets if each.data[36:38] == port]
    return found


@NEEDS_RAW
@pytest.mark.parametrize("interface", ["lo", ""])
def test_packets_come_once_in_order_and_whole(sink: socket.socket, interface: str) -> None:
    payloads = [bytes([number % 251]) * (number * 7 % 1500 + 1) for number in range(500)]
    payloads[77] = b"x" * 65000
    with closing(Ring(listen(interface, CAPTURE), CAPTURE)) as ring:
        before = time.time_ns()
        send(sink, *payloads)
        found = taken(ring, sink, len(payloads))
        assert [each.data[42:] for each in found] == payloads
        assert all(each.wire_bytes == len(each.data) for each in found)
        assert {(each.interface, each.link) for each in found} == {("lo", 1)}
        assert before - 1_000_000_000 < found[0].time_ns < time.time_ns() + 1_000_000_000
        assert len({each.time_ns % 1000 for each in found}) > 1, "the kernel counts nanoseconds"
        assert ring.lost() == 0


@NEEDS_RAW
def test_a_block_is_handed_over_on_demand_long_before_its_time(sink: socket.socket) -> None:
    patient = Shape(1 << 17, 8, 60_000)
    with closing(Ring(listen("lo", patient), patient)) as ring:
        send(sink, b"now")
        ring.flush()
        assert [each.data[42:] for each in taken(ring, sink, 1)] == [b"now"]


@NEEDS_RAW
def test_what_fills_a_block_up_is_no_packet() -> None:
    with closing(Ring(listen("lo", SMALL), SMALL)) as ring:
        for _ in range(3 * SMALL.blocks):  # round the ring, and begin again
            ring.flush()
            ring.wait()
            while (packets := ring.take()) is not None:
                assert all(len(each.data) < SMALL.block_bytes / 2 for each in packets)
        assert ring.lost() == 0


@NEEDS_RAW
def test_lost_packets_are_counted(sink: socket.socket) -> None:
    with closing(Ring(listen("lo", SMALL), SMALL)) as ring:
        send(sink, *[b"x" * 60_000] * 20)
        assert ring.lost() >= 20 - 2 * SMALL.blocks
        assert ring.lost() == ring.lost()


@NEEDS_RAW
def test_reading_goes_on_behind_a_loss(sink: socket.socket) -> None:
    with closing(Ring(listen("lo", SMALL), SMALL)) as ring:
        send(sink, *[b"x" * 60_000] * 20)
        kept = 20 - ring.lost()
        assert kept > 0
        assert len(taken(ring, sink, kept)) == kept
        send(sink, b"later")
        assert [each.data[42:] for each in taken(ring, sink, 1)] == [b"later"]


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN")
def test_a_tag_of_a_vlan_is_put_back() -> None:
    """The kernel takes it out of a packet that arrives."""
    frame = bytes(6) + b"\x02\0\0\0\0\1" + b"\x81\x00\x00\x07\x88\xb6tagged"
    with own_network("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up"):
        ring = Ring(listen("v1", LIVE), LIVE)
        with closing(ring), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("v0", 0))
            sock.send(frame)
            found: list[Packet] = []
            while not found:
                ring.wait()
                found = [each for each in ring.take() or [] if each.data.endswith(b"tagged")]
            assert (found[0].data, found[0].wire_bytes, found[0].interface) == (frame, len(frame), "v1")


@NEEDS_RAW
def test_without_the_right_to_capture_one_message_says_so() -> None:
    command = [sys.executable, "-m", "kubewitness.cli", "wire", "--interface", "lo"]
    ended = subprocess.run(
        ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "takes the right CAP_NET_RAW, which this process lacks: start it as root" in ended.stderr
