"""Captures in every format that tools write, whole, growing and garbled."""

from __future__ import annotations

import contextlib
import io
import struct
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from kubewitness.capture.files import BrokenCapture, CaptureFile

FRAMES = [bytes(Ether() / IP(dst="127.0.0.1") / TCP(dport=8080, sport=port)) for port in (1, 2, 3)]
TIMES_NS = [1_700_000_000_123_456_000, 1_700_000_000_123_457_000, 1_700_000_001_000_000_000]


def option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(data: bytes, ticks: int, number: int = 0, order: str = "<", wire: int | None = None) -> bytes:
    head = struct.pack(
        order + "IIIII",
        number,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(data),
        len(data) if wire is None else wire,
    )
    return block(6, head + data, order)


def read(content: bytes) -> list[tuple[int, int, bytes, int, str]]:
    """Of each packet its time, link, data, length on the wire and interface."""
    file, found = CaptureFile(io.BytesIO(content), "x"), []
    while (packet := file.next()) is not None:
        found.append((packet.time_ns, packet.link, packet.data, packet.wire_bytes, packet.interface))
    assert not file.cut_off
    return found


@pytest.mark.parametrize("writer", [PcapWriter, PcapNgWriter])
def test_what_scapy_writes_is_read(tmp_path: Path, writer: type[PcapWriter]) -> None:
    file = tmp_path / "x"
    with writer(str(file)) as out:
        for frame in FRAMES:
            out.write(Ether(frame))
    found = read(file.read_bytes())
    assert [each[1:] for each in found] == [(1, frame, len(frame), "") for frame in FRAMES]
    assert found == sorted(found, key=itemgetter(0))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "fraction"), [(0xA1B2C3D4, 123_456), (0xA1B23C4D, 123_456_000)])
def test_pcap_in_both_byte_orders_and_resolutions(order: str, magic: int, fraction: int) -> None:
    content = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 100, 113)
    content += struct.pack(order + "IIII", 1_700_000_000, fraction, 3, 9) + b"abc"
    assert read(content) == [(TIMES_NS[0], 113, b"abc", 9, "")]


def test_several_sections_interfaces_and_resolutions() -> None:
    content = section() + interface(1, option(2, b"lo") + option(9, b"\x09") + option(0, b""))
    content += interface(276, option(9, b"\x8a") + option(14, struct.pack("<q", 1000)))
    content += enhanced(b"abc", TIMES_NS[0]) + block(5, bytes(12)) + enhanced(b"d", 1 << 10, 1, wire=70)
    content += section(">") + interface(101, order=">") + enhanced(b"efgh", TIMES_NS[1] // 1000, order=">")
    content += block(3, struct.pack(">I", 2) + b"ij", ">")
    content += block(2, struct.pack(">HHIIII", 0, 0, 0, 5, 1, 1) + b"k", ">")
    assert read(content) == [
        (TIMES_NS[0], 1, b"abc", 3, "lo"),
        (1_001_000_000_000, 276, b"d", 70, ""),
        (TIMES_NS[1], 101, b"efgh", 4, ""),
        (0, 101, b"ij", 2, ""),
        (5000, 101, b"k", 1, ""),
    ]


def test_secrets_are_handed_over_before_the_packets_behind_them() -> None:
    learnt: list[str] = []
    keys = b"CLIENT_RANDOM 00 11\n"
    other = block(10, struct.pack("<II", 0x57474B4C, 4) + b"wire")
    content = section() + interface() + block(10, struct.pack("<II", 0x544C534B, len(keys)) + keys) + other
    file = CaptureFile(io.BytesIO(content + enhanced(b"a", 1)), "x", learnt.append)
    assert file.next() is not None
    assert learnt == [keys.decode()]


def statistics(number: int, began: int | None, order: str = "<", **counts: int) -> bytes:
    """What an interface counted, as dumpcap tells it; ``began`` is in microseconds."""
    codes = {"received": 4, "lost": 5, "accepted": 6, "lost_by_system": 7, "delivered": 8}
    told = [(1, b"Counters provided by dumpcap"), *((codes[name], counts[name]) for name in counts)]
    if began is not None:
        told.insert(1, (2, struct.pack(order + "II", began >> 32, began & 0xFFFFFFFF)))
    options = b""
    for code, value in told:
        raw = value if isinstance(value, bytes) else struct.pack(order + "Q", value)
        options += struct.pack(order + "HH", code, len(raw)) + raw + bytes(-len(raw) % 4)
    return block(5, struct.pack(order + "III", number, 0, 0) + options + bytes(4), order)


def lost(content: bytes) -> int:
    file = CaptureFile(io.BytesIO(content), "x")
    while file.next() is not None:
        pass
    assert not file.cut_off
    return file.losses.packets


BEGAN = TIMES_NS[0] // 1000


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_interfaces_lost_is_added(order: str) -> None:
    content = section(order) + interface(order=order) + interface(order=order)
    assert lost(content) == 0
    assert lost(content + statistics(0, BEGAN, order, received=7)) == 0
    content += statistics(0, BEGAN, order, received=7, lost=3) + statistics(1, BEGAN, order, lost=5)
    assert lost(content) == 8
    content += enhanced(b"abc", 1, order=order) + statistics(1, BEGAN, order, lost=6, lost_by_system=10)
    assert lost(content) == 19, "a later block has the numbers of the earlier one in it"


def test_what_is_not_known_is_not_counted() -> None:
    content = section() + interface() + statistics(0, BEGAN, lost=2**64 - 1, accepted=5, delivered=4)
    assert lost(content) == 0
    assert lost(content + statistics(0, BEGAN, lost=2**64 - 1, lost_by_system=2)) == 2


def test_sections_of_one_capture_are_told_from_those_of_several() -> None:
    head = section() + interface()
    first, second = head + statistics(0, BEGAN, lost=3), head + statistics(0, BEGAN, lost=4)
    assert lost(first + second) == 4
    assert lost(first + second + head + statistics(0, BEGAN + 1, lost=10)) == 14
    assert lost((head + statistics(0, None, lost=3)) * 2) == 6


def test_options_end_where_they_say() -> None:
    told = struct.pack("<III", 0, 0, 0) + option(5, struct.pack("<Q", 3)) + bytes(4) + option(5, b"x")
    assert lost(section() + interface() + block(5, told)) == 3


WHOLE = section() + interface() + b"".join(enhanced(frame, 1) for frame in FRAMES)


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_a_file_is_read_while_it_grows(cuts: list[int]) -> None:
    stream, found = io.BytesIO(), []
    file = CaptureFile(stream, "x")
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(WHOLE)], strict=True):
        stream.seek(0, io.SEEK_END)
        stream.write(WHOLE[low:high])
        stream.seek(low)
        while (packet := file.next()) is not None:
            found.append(packet.data)
    assert found == FRAMES


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ""),
        (b"no capture at all, but text", "x is no capture: wanted pcap or pcapng, found b'no c'"),
        (section()[:8] + bytes(20), "a section has no byte order"),
        (
            section() + struct.pack("<II", 6, 13) + bytes(99),
            "garbled at byte 28, behind packet 0: wanted a block's",
        ),
        (WHOLE[:-4] + bytes(4), "found another length at its end"),
        (section() + enhanced(b"a", 1), "interface 0, which is not described"),
        (section() + interface() + block(6, b"1234"), "a block of type 6 is garbled"),
        (section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "a packet of 99 bytes"),
        (WHOLE + block(3, b""), "a block of type 3 is garbled: it has no length"),
        (section() + block(10, struct.pack("<I", 0x544C534B)) + WHOLE, "wanted secrets of 16 bytes, found 0"),
        (section() + block(10, struct.pack("<II", 0x544C534B, 9) + b"abcd"), "secrets of 9 bytes, found 4"),
        (section() + block(5, bytes(12) + option(5, b"1234")), "a block of type 5 is garbled"),
    ],
)
def test_what_is_garbled_is_told_with_its_place(content: bytes, told: str) -> None:
    if told:
        with pytest.raises(BrokenCapture, match=told):
            read(content)
    else:
        assert read(content) == []


@given(flips=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_ends_in_packets_or_in_one_clear_error(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for place, value in flips:
        damaged[place] = value
    file = CaptureFile(io.BytesIO(bytes(damaged)), "x")
    with contextlib.suppress(BrokenCapture):
        while file.next() is not None:
            pass
    assert file.packets <= len(damaged) // 12
