"""What is captured is stored in parts that this project and others read, or is told to be missing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import rdpcap

from fixtures.stage import Packets
from kubewitness.capture.files import BrokenCapture, CaptureFile, Packet
from kubewitness.capture.parts import Parts, part
from kubewitness.capture.reading import FILE, BrokenEvidence, Reading
from kubewitness.capture.storing import Store
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.observation import Endpoint
from tests.wire.traffic import SYN, packet

T_NS = 1_700_000_000_123_456_789
Told = tuple[int, int, bytes, int, str]
KEYS = b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"11" * 48 + b"\n"


def made(number: int, interface: str = "lo") -> Packet:
    data = packet(Endpoint("10.0.0.1", number), Endpoint("10.0.0.2", 8080), 1, 0, SYN)
    data += bytes(number % 4)
    return Packet(T_NS + number, 1, data, len(data), interface)


PACKETS = [made(number, ("lo", "br0")[number % 2]) for number in range(1, 21)]


def told(packets: Iterable[Packet | None]) -> list[Told]:
    return [(each.time_ns, each.link, each.data, each.wire_bytes, each.interface) for each in packets if each]


def read(first: Path) -> list[Told]:
    with closing(Parts(first)) as parts:
        return told(iter(parts.next, None))


@contextmanager
def storing(first: Path, keys: Path | None = None, **more: Any) -> Iterator[Store]:
    store = Store(first, keys, **more)
    try:
        yield store
    finally:
        store.close()


def test_what_is_stored_is_read_the_same(tmp_path: Path) -> None:
    with storing(tmp_path / "x.pcapng") as store:
        store.write(PACKETS[:10])
        store.write(PACKETS[10:], {0: "here"})
        assert (store.packets, store.unwritten, store.why) == (20, 0, "")
    assert read(tmp_path / "x.pcapng") == told(PACKETS)


def test_scapy_reads_it_with_names_and_comments(tmp_path: Path) -> None:
    with storing(tmp_path / "x.pcapng") as store:
        store.write(PACKETS, {3: "what this is"})
    found = rdpcap(str(tmp_path / "x.pcapng"))
    assert [bytes(each) for each in found] == [each.data for each in PACKETS]
    assert [each.sniffed_on for each in found] == [each.interface for each in PACKETS]
    assert [each.comments for each in found if each.comments] == [[b"what this is"]]
    times = [f"1700000000.{each.time_ns % 10**9}".rstrip("0") for each in PACKETS]
    assert [str(each.time) for each in found] == times


def test_parts_are_one_capture(tmp_path: Path) -> None:
    first = tmp_path / "x.pcapng"
    with storing(first, part_bytes=500) as store:
        for each in PACKETS:
            store.write([each])
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names[:3] == ["x.pcapng", "x_00002.pcapng", "x_00003.pcapng"]
    assert read(first) == told(PACKETS)
    whole = tmp_path / "whole.pcapng"  # parts in the order of their names are a file, too
    whole.write_bytes(b"".join((tmp_path / name).read_bytes() for name in names))
    with whole.open("rb") as file:
        assert told(iter(CaptureFile(file, "whole").next, None)) == told(PACKETS)


def test_each_part_ends_with_what_was_lost_so_far(tmp_path: Path) -> None:
    first, now = tmp_path / "x.pcapng", iter([2, 2, 5])
    with storing(first, part_bytes=1000, lost=lambda: next(now)) as store:
        for each in PACKETS:
            store.write([each])
        with closing(Parts(first)) as parts:
            while parts.next() is not None:
                pass
            assert parts.lost == 2, "the part that is being written tells nothing yet"
    assert len(list(tmp_path.iterdir())) == 3
    for number, lost in ((1, 2), (2, 2), (3, 5)):
        with part(first, number).open("rb") as file:
            alone = CaptureFile(file, "alone")
            assert told(iter(alone.next, None))
            assert alone.losses.packets == lost
    with closing(Parts(first)) as parts:
        assert told(iter(parts.next, None)) == told(PACKETS)
        assert parts.lost == 5


@pytest.mark.parametrize("lost", [0, 7])
def test_the_statistics_of_several_interfaces_have_room_and_each_packet_once(
    tmp_path: Path, lost: int
) -> None:
    packets = [made(number, f"veth{number % 9}") for number in range(1, 100)]
    with storing(tmp_path / "x.pcapng", lost=lambda: lost << 50) as store:
        store.write(packets)
        before, room = store._size, store._packets.room_for_statistics
        assert sum(store.received.values()) == len(packets)
    assert before < (tmp_path / "x.pcapng").stat().st_size <= before + room
    with closing(Parts(tmp_path / "x.pcapng")) as parts:
        assert told(iter(parts.next, None)) == told(packets)
        assert parts.lost == lost << 50


def test_each_part_can_be_opened_by_itself(tmp_path: Path) -> None:
    first, keys = tmp_path / "x.pcapng", tmp_path / "keys.log"
    with storing(first, keys, part_bytes=500) as store:
        store.write(PACKETS[:5])
        keys.write_bytes(KEYS + b"CLIENT_RANDOM 22")
        store.write(PACKETS[5:6])
        store.write(PACKETS[6:7])
    learnt: list[str] = []
    with part(first, 2).open("rb") as file:
        alone = CaptureFile(file, "second", learnt.append)
        assert told([alone.next()]) == told(PACKETS[5:6])
        assert learnt == [KEYS.decode()], "a line that is not whole is for later"
    assert b"its first packet is number 6 of the whole" in part(first, 2).read_bytes()
    learnt.clear()
    with storing(first, keys, part_bytes=500) as store:
        keys.write_bytes(KEYS)
        store.write(PACKETS[:5])
        store.write(PACKETS[5:10])
        store.write(PACKETS[10:])
    with part(first, 3).open("rb") as file:
        assert told([CaptureFile(file, "third", learnt.append).next()]) == told(PACKETS[10:11])
    assert learnt == [KEYS.decode()], "each part has all secrets so far"


def test_secrets_are_before_the_packets_that_came_after_them(tmp_path: Path) -> None:
    keys = tmp_path / "keys.log"
    with storing(tmp_path / "x.pcapng", keys) as store:
        store.write(PACKETS[:1])
        keys.write_bytes(KEYS)
        store.write(PACKETS[1:2])
    learnt: list[str] = []
    with closing(Parts(tmp_path / "x.pcapng", learnt.append)) as parts:
        assert told([parts.next()]) == told(PACKETS[:1])
        assert not learnt
        assert told([parts.next()]) == told(PACKETS[1:2])
        assert learnt == [KEYS.decode()]
    assert (tmp_path / "x.pcapng").stat().st_mode & 0o777 == 0o600


def test_parts_are_read_while_they_grow(tmp_path: Path) -> None:
    with (
        storing(tmp_path / "x.pcapng", part_bytes=500) as store,
        closing(Parts(tmp_path / "x.pcapng")) as parts,
    ):
        for each in PACKETS:
            assert parts.next() is None
            store.write([each])
            assert told([parts.next()]) == told([each])


def test_a_part_that_ends_early_is_told(tmp_path: Path) -> None:
    first = tmp_path / "x.pcapng"
    with storing(first, part_bytes=500) as store:
        for each in PACKETS:
            store.write([each])
    first.write_bytes(first.read_bytes()[:-8])
    with pytest.raises(
        BrokenCapture, match=r"x\.pcapng ends within a block, .* goes on in .*x_00002\.pcapng"
    ):
        read(first)


def test_at_its_bound_a_capture_ends_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "x.pcapng"
    with storing(first, part_bytes=500, most_bytes=1200) as store:
        for each in PACKETS:
            store.write([each])
        assert store.why.endswith(": the bound of 1200 bytes is reached)")
        assert store.packets + store.unwritten == len(PACKETS)
        assert store.unwritten
        assert read(first) == told(PACKETS[: store.packets])
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 1200
    assert len(capsys.readouterr().err.splitlines()) == 1, "it is told once"


def full(first: Path, packets: list[Packet]) -> Store:
    """After all have been given to it, one by one."""
    with storing(first) as store:
        for each in packets:
            store.write([each])
    return store


def test_a_limit_of_the_system_ends_a_capture_behind_a_whole_packet(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        store = full(tmp_path / "x.pcapng", PACKETS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.why.endswith("x.pcapng: File too large)")
    assert 0 < store.packets < len(PACKETS)
    assert read(tmp_path / "x.pcapng") == told(PACKETS[: store.packets])


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN")
def test_a_full_disk_ends_a_capture_behind_a_whole_packet(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        large = [Packet(number, 1, bytes(5000), 5000, "lo") for number in range(20)]
        store = full(disk / "x.pcapng", large)
        assert store.why.endswith("x.pcapng: No space left on device)")
        assert store.packets + store.unwritten == len(PACKETS)
        assert store.packets > 5
        assert read(disk / "x.pcapng") == told(large[: store.packets])
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_was_not_written_makes_a_history_incomplete(tmp_path: Path) -> None:
    with storing(tmp_path / FILE, part_bytes=500) as store:
        for each in PACKETS:
            store.write([each])
    stored = {
        "packets": 20,
        "dropped": 0,
        "interfaces": ["lo"],
        "unwritten": 3,
        "why_unwritten": "it is full",
    }
    with closing(Reading(tmp_path)) as reading:
        history = reading.history(1, 20, CaptureStatistics.of(stored))
        assert history.missing == ("3 packets behind packet 20 are not in the capture: it is full",)
        assert [each.client.port for each in history.connections] == list(range(1, 21))
        with pytest.raises(BrokenEvidence, match=r"should hold 21 packets, but ends after 20, in .*x?_000"):
            reading.history(1, 21, CaptureStatistics.of(stored))


def test_recorded_packets_are_scapys(tmp_path: Path) -> None:
    with storing(tmp_path / FILE, part_bytes=500) as store:
        for each in PACKETS:
            store.write([each])
    with closing(Reading(tmp_path)) as reading:
        packets = Packets(reading, 3, 18)
        assert len(packets) == 16
        for _ in range(2):
            assert [each["TCP"].sport for each in packets] == list(range(3, 19))
        first = next(iter(packets))
        assert (first.summary(), first.sniffed_on) == (
            "Ether / IP / TCP 10.0.0.1:3 > 10.0.0.2:http_alt S / Padding",
            "br0",
        )
        assert str(first.time) == f"1700000000.{PACKETS[2].time_ns % 10**9}"
        assert list(Packets(reading, 5, 4)) == []
