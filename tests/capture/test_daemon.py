"""The capturing process, in a network namespace of its own."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubewitness.capture.barriers import MARKER
from kubewitness.capture.parts import Parts
from kubewitness.capture.ring import CAPTURE
from tests.capture.capturing import capturing
from tests.capture.own_network import own_network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN and CAP_NET_RAW")


def said(file: Path) -> list[bytes]:
    """The payloads to UDP port 4000, in order."""
    with closing(Parts(file)) as parts:
        packets = [each.data for each in iter(parts.next, None)]
    # A port that nobody listens on is answered by ICMP, whose checksum may look like the port.
    return [each[42:] for each in packets if each[23] == socket.IPPROTO_UDP and each[36:38] == b"\x0f\xa0"]


def test_from_before_its_start_to_a_barrier_all_is_in_the_file(tmp_path: Path) -> None:
    file, keys = tmp_path / "capture.pcapng", tmp_path / "keys.log"
    with own_network(), capturing(["lo"], file, keys) as capture:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"before it was started", ("127.0.0.1", 4000))
            capture.start()
            first = capture.barrier("begins")
            assert said(file) == [b"before it was started"]
            keys.write_text("CLIENT_RANDOM 00 11\n")
            for number in range(1000):
                sock.sendto(b"%d" % number, ("127.0.0.1", 4000))
            second = capture.barrier()
        assert said(file)[1:] == [b"%d" % number for number in range(1000)]
        assert (second.dropped, second.unwritten, second.interfaces) == (0, 0, ("lo",))
        learnt: list[str] = []
        with closing(Parts(file, learnt.append)) as parts:
            found = list(iter(parts.next, None))
        assert learnt == ["CLIENT_RANDOM 00 11\n"]
        to_capture = [each.data[36:38] == b"\0\x09" and MARKER in each.data for each in found]
        assert to_capture.index(True) < first.packets < second.packets <= len(found)
        assert b"kubewitness barrier begins" in file.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_its_end_all_is_in_the_file_with_its_statistics(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "capture.pcapng"
    with own_network(), capturing(["lo"], file) as capture:
        capture.start()
        capture.barrier()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for each in range(1000):
                sock.sendto(b"%d" % each, ("127.0.0.1", 4000))
        assert capture.process is not None
        capture.process.send_signal(number)
        assert capture.process.wait(timeout=60) == 0
    assert said(file) == [b"%d" % each for each in range(1000)]
    with closing(Parts(file)) as parts:
        count = sum(1 for _ in iter(parts.next, None))
        assert (parts.lost, parts.cut_off) == (0, False)
    (block,) = [each for kind, each in blocks(file.read_bytes()) if kind == 5]
    assert struct.unpack_from("<HHQHHQ", block, 44) == (4, 8, count, 5, 8, 0)


def test_what_the_ring_had_no_room_for_is_in_the_file(tmp_path: Path) -> None:
    file, sent = tmp_path / "capture.pcapng", CAPTURE.blocks * 2
    with own_network(), capturing(["lo"], file) as capture:
        capture.start()
        capture.barrier()
        assert capture.process is not None
        capture.process.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 4000))  # or else ICMP would answer
            for _ in range(sent):
                sock.sendto(bytes(64_000), ("127.0.0.1", 4000))  # each takes a block
        for each in (signal.SIGTERM, signal.SIGCONT):
            capture.process.send_signal(each)
        assert capture.process.wait(timeout=60) == 0
    kept = len(said(file))
    assert kept < sent
    with closing(Parts(file)) as parts:
        while parts.next() is not None:
            pass
        # What fills a block up is not stored, but may be among what there was no room for.
        assert sent - kept <= parts.lost <= sent - kept + 4


def blocks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The type of each block, and all of it."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from("<II", content, at)
        yield kind, content[at : at + length]
        at += length
