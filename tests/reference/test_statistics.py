"""What a capture of ours tells of itself is read by Wireshark's tools, and what dumpcap tells by ours."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from kubewitness.capture.files import Packet
from kubewitness.capture.parts import Parts, part
from kubewitness.capture.storing import Store
from tests.capture.own_network import own_network
from tests.wire.test_decoder import traffic

#: Shows the file's own blocks, where otherwise the packets in them are shown.
_BLOCKS = ("-X", "read_format:MIME Files Format", "-V")


def said(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def stored(file: Path, interfaces: Sequence[str], lost: int, part_bytes: int = 1 << 20) -> int:
    frames = traffic()
    with closing(Store(file, lost=lambda: lost, part_bytes=part_bytes)) as store:
        for number, frame in enumerate(frames):
            name = interfaces[number % len(interfaces)]
            store.write([Packet(10**18 + number, 1, frame, len(frame), name)])
    return len(frames)


@pytest.mark.parametrize("lost", [0, 7])
def test_each_interface_has_its_statistics(tmp_path: Path, lost: int) -> None:
    file = tmp_path / "x.pcapng"
    count = stored(file, ["lo", "br0"], lost)
    told = said("tshark", "-r", file, *_BLOCKS)
    assert "alformed" not in told
    assert told.count("Block: Interface Statistics Block") == 2
    received = [int(each) for each in re.findall(r"Option: Number of Received Packets = (\d+)", told)]
    assert received == [-(-count // 2), count // 2]
    dropped = [int(each) for each in re.findall(r"Option: Number of Dropped Packets = (\d+)", told)]
    assert dropped == ([lost] if lost else [0, 0])
    assert said("capinfos", file).count("Number of stat entries = 1\n") == 2
    assert len(said("tshark", "-r", file).splitlines()) == count


def test_parts_are_whole_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    count = stored(file, ["lo"], 3, part_bytes=1000)
    parts = [part(file, number) for number in range(1, len(list(tmp_path.iterdir())) + 1)]
    assert len(parts) > 2
    for each in parts:
        assert said("capinfos", each).count("Number of stat entries = 1\n") == 1
    whole = tmp_path / "whole.pcapng"
    whole.write_bytes(b"".join(each.read_bytes() for each in parts))
    assert len(said("tshark", "-r", whole).splitlines()) == count
    with closing(Parts(whole)) as read:
        while read.next() is not None:
            pass
        assert (read.packets, read.lost) == (count, 3)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dumpcap") is None, reason="wanted root, and dumpcap on PATH"
)
def test_what_dumpcap_lost_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    with own_network("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up"):
        argv = ["dumpcap", "-i", "lo", "-i", "v0", "-B", "1", "-w", str(file)]
        dumpcap = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        assert dumpcap.stderr is not None
        try:
            while "File:" not in (line := dumpcap.stderr.readline()):
                assert line, "dumpcap has ended"
            dumpcap.send_signal(signal.SIGSTOP)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for _ in range(400):
                    sock.sendto(bytes(9000), ("127.0.0.1", 4000))
            for number in (signal.SIGINT, signal.SIGCONT):
                dumpcap.send_signal(number)
            told = dumpcap.stderr.read()
        finally:
            dumpcap.kill()
            dumpcap.wait()
            dumpcap.stderr.close()
    dropped = [int(each) for each in re.findall(r"received/dropped on interface .*: \d+/(\d+) ", told)]
    assert len(dropped) == 2
    assert sum(dropped) > 100
    with closing(Parts(file)) as read:
        while read.next() is not None:
            pass
        assert read.lost == sum(dropped)
