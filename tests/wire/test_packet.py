from __future__ import annotations

import struct

import pytest

from kubewitness.model.observation import Endpoint
from kubewitness.wire.packet import LINKS, Segment, reverse, segment, source
from tests.wire.traffic import ACK, packet

CLIENT, SERVER = Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 8080)
CLIENT6, SERVER6 = Endpoint("fd00::1", 40000), Endpoint("fd00::2", 8080)


def said(found: Segment | None) -> tuple[object, ...]:
    assert found is not None
    return found.key, found.seq, found.ack, found.flags, found.payload, found.cut


@pytest.mark.parametrize(("client", "server"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["ipv4", "ipv6"])
def test_a_segment_is_found(client: Endpoint, server: Endpoint) -> None:
    found = segment(packet(client, server, 1, 2, ACK, b"payload"))
    assert found is not None
    assert (found.seq, found.ack, found.flags, found.payload) == (1, 2, ACK, b"payload")
    assert source(found.key) == client
    assert source(reverse(found.key)) == server


def test_padding_behind_a_short_packet_is_no_payload() -> None:
    found = segment(packet(CLIENT, SERVER, 1, 2, ACK, b"x") + bytes(20))
    assert found is not None
    assert found.payload == b"x"


@pytest.mark.parametrize("link", [1, 12])
def test_a_length_that_ends_within_the_headers_leaves_no_payload(link: int) -> None:
    whole = bytearray(packet(CLIENT, SERVER, 1, 2, ACK, b"payload"))
    whole[16:18] = (30).to_bytes(2, "big")
    assert said(segment(bytes(whole) if link == 1 else bytes(whole[14:]), link))[4:] == (b"", 0)


def test_a_super_packet_is_taken_whole() -> None:
    payload = bytes(range(256)) * 256
    found = segment(packet(CLIENT6, SERVER6, 1, 2, ACK, payload[:65_000]))
    assert found is not None
    assert len(found.payload) == 65_000
    unlimited = bytearray(packet(CLIENT, SERVER, 1, 2, ACK, payload))
    unlimited[16:18] = bytes(2)  # the total length that a packet of 64 KiB and more has
    found = segment(bytes(unlimited))
    assert found is not None
    assert found.payload == payload


def test_vlan_tags_are_passed_over() -> None:
    plain = packet(CLIENT, SERVER, 1, 2, ACK, b"payload")
    tagged = plain[:12] + b"\x81\x00\x00\x07" + plain[12:]
    assert said(segment(tagged)) == said(segment(plain))


def test_ipv6_extension_headers_are_passed_over() -> None:
    plain = packet(CLIENT6, SERVER6, 1, 2, ACK, b"payload")
    extended = bytearray(plain[:54] + struct.pack("!BB6x", 6, 0) + plain[54:])
    extended[20] = 0  # next header: hop-by-hop options
    extended[18:20] = (len(extended) - 54).to_bytes(2, "big")
    assert said(segment(bytes(extended))) == said(segment(plain))


def test_what_is_no_tcp_segment_is_ignored() -> None:
    plain = packet(CLIENT, SERVER, 1, 2, ACK, b"payload")
    udp = plain[:23] + b"\x11" + plain[24:]
    fragment = plain[:20] + b"\x20\x00" + plain[22:]
    arp = plain[:12] + b"\x08\x06" + plain[14:]
    for frame in (udp, fragment, arp, plain[:40], plain[:13], b""):
        assert segment(frame) is None


PLAIN = packet(CLIENT, SERVER, 1, 2, ACK, b"payload")
PLAIN6 = packet(CLIENT6, SERVER6, 1, 2, ACK, b"payload")
COOKED = struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800)
COOKED_VLAN = struct.pack("!HHH8sHHH", 0, 1, 6, bytes(8), 0x8100, 7, 0x0800)
COOKED2 = struct.pack("!HHIHBB8s", 0x86DD, 0, 3, 1, 0, 6, bytes(8))


@pytest.mark.parametrize(
    ("link", "header", "frame"),
    [
        (113, COOKED, PLAIN), (113, COOKED_VLAN, PLAIN), (276, COOKED2, PLAIN6), (0, b"\2\0\0\0", PLAIN),
        (108, b"\0\0\0\x1e", PLAIN6), (101, b"", PLAIN), (101, b"", PLAIN6),
        (228, b"", PLAIN), (229, b"", PLAIN6),
    ],
    ids=["sll", "sll-vlan", "sll2", "null", "loop", "raw4", "raw6", "ipv4", "ipv6"],
)  # fmt: skip
def test_links_that_are_no_ethernet(link: int, header: bytes, frame: bytes) -> None:
    assert said(segment(header + frame[14:], link)) == said(segment(frame))
    assert segment(header, link) is None
    assert link in LINKS


def test_other_links_are_ignored() -> None:
    assert segment(PLAIN, 127) is None
    assert 127 not in LINKS


def test_what_a_capture_left_out_is_counted() -> None:
    found = segment(PLAIN[:-3])
    assert found is not None
    assert (found.payload, found.cut) == (b"payl", 3)
