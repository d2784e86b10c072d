"""The capture beside scapy's and tcpdump's, in one run: what is lost at which rate, and what packets cost.

    pytest tests/bench/test_capture.py

prints rates and their ratios. What is asserted holds on any host: nothing is
lost, and the packets are tcpdump's, byte for byte and stamp for stamp.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scapy.layers import inet  # noqa: F401 - or the sniffer would not dissect what it is compared by
from scapy.sendrecv import AsyncSniffer
from scapy.utils import PcapNgWriter

from kubewitness.capture.files import Packet
from kubewitness.capture.parts import Parts
from kubewitness.capture.storing import Store
from tests.bench.sender import NUMBER_AT, frame
from tests.capture.capturing import Capturing, capturing
from tests.capture.own_network import own_network

NEEDS = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("tcpdump"),
    reason="this takes CAP_NET_RAW and CAP_SYS_ADMIN, and the program tcpdump",
)
LINKS = ("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
BYTES = 300
SENDER = Path(__file__).with_name("sender.py")
LADDER = [500 * 2**step for step in range(9)]
SECONDS = 1.0
FASTEST = 800_000
PORT = b"\x0f\xa0"


def send(rate: int, count: int) -> float:
    """From v0 to v1. Returns the rate that was reached."""
    command = [sys.executable, str(SENDER), "v0", str(rate), str(count), str(BYTES)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sent(count: int, rate: int) -> int:
    """How many that is in whole batches."""
    batch = max(1, min(512, round(rate * 0.001)))
    return -(-count // batch) * batch


def ours(frame: bytes) -> bool:
    return frame[36:38] == PORT and frame[12:14] == b"\x08\x00"


def sniffed(rate: int) -> tuple[float, int]:
    """The rate reached, and how many packets scapy's sniffer lost."""
    count = round(rate * SECONDS)
    seen = 0

    def see(packet: object) -> None:
        nonlocal seen
        seen += ours(bytes(packet))  # type: ignore[call-overload]

    listens = threading.Event()
    sniffer = AsyncSniffer(iface="v1", prn=see, store=False, started_callback=listens.set)
    sniffer.start()
    listens.wait()
    reached = send(rate, count)
    time.sleep(1)  # it has no event for "all that has arrived is read"
    sniffer.stop()
    return reached, sent(count, rate) - seen


@contextmanager
def tcpdump(file: Path) -> Iterator[None]:
    options = ["--time-stamp-precision=nano", "--buffer-size=131072", "--snapshot-length=262144"]
    command = ["tcpdump", "-i", "v1", "-w", str(file), *options, "udp", "port", "4000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        told = ""
        while "listening on" not in told:
            told = running.stderr.readline()
        yield
        time.sleep(1)  # until tcpdump has read what has arrived; it tells nobody
        running.send_signal(signal.SIGINT)
        assert "\n0 packets dropped by kernel" in running.stderr.read(), "tcpdump itself has lost packets"


def as_pcap(packets: list[Packet]) -> bytes:
    """The file that tcpdump writes of these packets, in nanoseconds."""
    parts = [struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for each in packets:
        seconds, fraction = divmod(each.time_ns, 10**9)
        parts += (struct.pack("=IIII", seconds, fraction, len(each.data), each.wire_bytes), each.data)
    return b"".join(parts)


def captured(capture: Capturing, file: Path, rate: int, seconds: float) -> tuple[float, list[Packet], float]:
    """The rate reached, the packets, and seconds of processor time for 100,000 of them. None is lost."""
    before, cpu_s = capture.barrier(), capture.cpu_s()
    count = round(rate * seconds)
    reached = send(rate, count)
    after = capture.barrier()
    cost_s = (capture.cpu_s() - cpu_s) / (after.packets - before.packets) * 100_000
    assert (after.dropped, after.unwritten) == (0, 0)
    with closing(Parts(file)) as parts:
        found = [each for each in iter(parts.next, None) if ours(each.data)][-sent(count, rate) :]
    numbers = [int.from_bytes(each.data[NUMBER_AT : NUMBER_AT + 4], "big") for each in found]
    assert numbers == list(range(sent(count, rate)))
    return reached, found, cost_s


def first_loss() -> tuple[float, int, int]:
    """The rate at which scapy's sniffer first loses packets, how many, and of how many."""
    for rate in LADDER:
        reached, lost = sniffed(rate)
        if lost:
            return reached, lost, sent(round(rate * SECONDS), rate)
    pytest.fail(f"scapy's sniffer lost nothing at {LADDER[-1]}/s: this ladder is too short")


@NEEDS
def test_no_loss_at_ten_times_the_rate_at_which_scapy_loses_and_the_same_as_tcpdump(
    tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    with own_network(*LINKS):
        scapys, lost, of = first_loss()

        def beside_tcpdump() -> tuple[float, int, float]:
            """At ten times that rate, or at what the sender can do on this host."""
            asked, reached, found, cost_s = round(10 * scapys), 0.0, 0, 0.0
            while reached < 10 * scapys and asked <= FASTEST:
                file, reference = tmp_path / f"{asked}.pcapng", tmp_path / f"{asked}.pcap"
                with capturing(["lo", "v1"], file) as capture:
                    capture.start()
                    capture.barrier()
                    with tcpdump(reference):
                        reached, packets, cost_s = captured(capture, file, asked, SECONDS)
                assert reference.read_bytes() == as_pcap(packets), "tcpdump wrote another file"
                asked, found = 2 * asked, len(packets)
            return reached, found, cost_s

        reached, found, cost_s = benchmark.pedantic(beside_tcpdump, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update(
        {
            "scapy first lost packets at": f"{scapys:,.0f}/s ({lost} of {of})",
            "ours lost none at": f"{reached:,.0f}/s ({found} packets), {reached / scapys:.1f} times that",
            "processor time for 100,000": f"{cost_s:.3f} s",
            "tcpdump's file": "is the same",
        }
    )


@NEEDS
@pytest.mark.parametrize("rate", [1_000, 5_000, 50_000])
def test_what_packets_cost(tmp_path: Path, benchmark: BenchmarkFixture, rate: int) -> None:
    with own_network(*LINKS), capturing(["lo", "v1"], tmp_path / "capture.pcapng") as capture:
        capture.start()
        capture.barrier()
        run = (capture, tmp_path / "capture.pcapng", rate, 2.0)
        reached, _, cost_s = benchmark.pedantic(captured, run, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update({"at": f"{reached:,.0f}/s", "processor time for 100,000": f"{cost_s:.3f} s"})


@NEEDS
def test_a_barrier(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    with own_network(), capturing(["lo"], tmp_path / "capture.pcapng") as capture:
        capture.start()
        capture.barrier()
        benchmark.pedantic(capture.barrier, rounds=300)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="writing 10,000 packets")
@pytest.mark.parametrize("who", ["ours", "scapy"])
def test_writing(tmp_path: Path, benchmark: BenchmarkFixture, who: str) -> None:
    data = frame(BYTES)
    packets = [Packet(1_700_000_000 * 10**9 + each, 1, data, len(data), "lo") for each in range(10_000)]
    if who == "ours":
        with closing(Store(tmp_path / "ours.pcapng")) as store:
            benchmark(store.write, packets)
        return
    other = PcapNgWriter(str(tmp_path / "scapy.pcapng"))
    with other:
        other.linktype = 1
        other._write_block_shb()
        other._write_block_idb(linktype=1)

        def write() -> None:
            for each in packets:
                other._write_packet(
                    each.data, linktype=1, sec=each.time_ns / 1e9, wirelen=each.wire_bytes, ifname=b"lo"
                )
            other.f.flush()

        benchmark(write)
