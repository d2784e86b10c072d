"""How fast packets become messages, beside scapy, dpkt and tshark on the same captures in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.bench import captures, ours, peers
from tests.bench.timing import processor_s
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import API_TLS, Talk, decoder, request, response

PACKETS = 6_000
FRAMES, MESSAGES = captures.exchanges(PACKETS)
RUNS = {"ours": ours.http, "ours, objects too": ours.whole, "scapy": peers.scapy, "tshark": peers.tshark}
SEGMENTS = RUNS | {"dpkt, no messages": peers.dpkt_packets}


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captures.write(tmp_path_factory.mktemp("bench") / "http.pcap", FRAMES)


@pytest.fixture(scope="session")
def capture_of_whole_messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captures.write(tmp_path_factory.mktemp("bench") / "whole.pcap", captures.whole(MESSAGES))


@pytest.fixture(scope="session")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen: Path | None = request.config.getoption("--real")
    if chosen is None:
        pytest.skip("wanted --real FILE, a run's capture.pcapng of setup insecure")
    found = captures.plaintext(chosen, 5 * PACKETS)
    return captures.write(tmp_path_factory.mktemp("bench") / "real.pcap", found)


def test_all_say_the_same(capture: Path, capture_of_whole_messages: Path) -> None:
    """No peer was given anything that it does not know."""
    mine = Counter(ours.http(capture))
    assert mine.total() == len(MESSAGES) == ours.whole(capture)
    assert Counter(peers.scapy(capture)) == mine
    assert Counter(peers.dpkt(capture_of_whole_messages)) == mine
    assert Counter(ours.http_of_messages(MESSAGES)) == mine
    assert len(peers.tshark(capture).splitlines()) == len(MESSAGES)


@pytest.mark.benchmark(group="HTTP messages from a capture of segments", timer=processor_s)
@pytest.mark.parametrize("who", SEGMENTS)
def test_from_segments(benchmark: Any, capture: Path, who: str) -> None:
    benchmark.extra_info["packets"] = len(FRAMES)
    benchmark.pedantic(SEGMENTS[who], args=(capture,), rounds=3 if who == "scapy" else 15, warmup_rounds=1)


@pytest.mark.benchmark(
    group="HTTP messages, where dpkt has a capture without segmentation", timer=processor_s
)
@pytest.mark.parametrize("who", ["ours", "dpkt"])
def test_from_segments_and_from_whole_messages(
    benchmark: Any, capture: Path, capture_of_whole_messages: Path, who: str
) -> None:
    run, given = (ours.http, capture) if who == "ours" else (peers.dpkt, capture_of_whole_messages)
    benchmark.pedantic(run, args=(given,), rounds=15, warmup_rounds=1)


@pytest.mark.benchmark(group="HTTP messages from their bytes alone", timer=processor_s)
@pytest.mark.parametrize("who", ["ours", "dpkt"])
def test_from_whole_messages(benchmark: Any, who: str) -> None:
    run = {"ours": ours.http_of_messages, "dpkt": peers.dpkt_messages}[who]
    benchmark.pedantic(run, args=(MESSAGES,), rounds=15, warmup_rounds=1)


@pytest.fixture(scope="session")
def under_tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A capture of TLS 1.3, 200 messages of 3 kB, and its secrets."""
    folder = tmp_path_factory.mktemp("tls")
    ends = Ends(folder, alpn=("http/1.1",), mutual=False)
    said = ends.connect(Talk(port=API_TLS))
    for number in range(200):
        said.say(request("GET", f"/api/v1/namespaces/default/pods/pod-{number}"), to_server=True)
        said.say(response(200, captures.pod(number, 3000)), to_server=False)
    return captures.write(folder / "tls.pcap", said.packets), ends.log


@pytest.mark.benchmark(group="bytes under TLS 1.3, by its secrets", timer=processor_s)
@pytest.mark.parametrize("who", ["ours", "scapy"])
def test_under_tls(benchmark: Any, under_tls: tuple[Path, Path], who: str) -> None:
    assert ours.tls(*under_tls) == peers.scapy_tls(*under_tls)
    run = {"ours": ours.tls, "scapy": peers.scapy_tls}[who]
    benchmark.pedantic(run, args=under_tls, rounds=5 if who == "scapy" else 15, warmup_rounds=1)


@pytest.mark.benchmark(group="HTTP messages from a real capture", timer=processor_s)
@pytest.mark.parametrize("who", RUNS)
def test_from_a_real_capture(benchmark: Any, real: Path, who: str) -> None:
    """Scapy and tshark miss what they miss: PATCH, and all of a watch until it ends."""
    benchmark.pedantic(RUNS[who], args=(real,), rounds=1 if who == "scapy" else 5)


@pytest.mark.benchmark(group="10 events of an open watch, after how many others", timer=processor_s)
@pytest.mark.parametrize("before", [1_000, 100_000])
def test_an_open_watch(benchmark: Any, before: int) -> None:
    packets = enumerate(captures.watch(400), 1)
    into = decoder()

    def feed(count: int) -> None:
        for number, frame in islice(packets, 2 * count):
            into.feed(number, number * 1000, frame)

    feed(before)
    given = [list(islice(packets, 20)) for _ in range(50)]

    def ten(part: list[tuple[int, bytes]]) -> None:
        for number, frame in part:
            into.feed(number, number * 1000, frame)

    parts = iter(given)
    benchmark.pedantic(ten, setup=lambda: ((next(parts),), {}), rounds=50)


_STREAM = """
from pathlib import Path

from tests.bench import captures
from tests.wire.traffic import decoder

def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10

into, before, size, events = decoder(), resident(), 0, 0
for number, frame in enumerate(captures.watch(16_000), 1):
    size += len(frame)
    events += len(into.feed(number, number * 1000, frame))
    if number % 1000 == 0:
        into.forget()
    if size > 1 << 30:
        break
print(events, before, resident())
"""


@pytest.mark.benchmark(group="a watch of 1 GiB", timer=processor_s)
def test_memory_over_a_long_stream(benchmark: Any) -> None:
    """In a process of its own. Its resident size is told in MiB: when it began, and at most."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", _STREAM]

    def run() -> None:
        told = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
        events, before, most = map(int, told.split())
        benchmark.extra_info.update(events=events, resident_before_mib=before, resident_at_most_mib=most)

    benchmark.pedantic(run, rounds=1)
