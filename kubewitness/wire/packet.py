"""From an Ethernet frame to the TCP segment in it."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from kubewitness.model.observation import Endpoint

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_TCP = 6
_VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
_IPV6_EXTENSIONS = {0, 43, 60}  # hop-by-hop, routing, destination options


class Segment(NamedTuple):
    """A TCP segment. ``key`` is source address, destination address and both ports as on the wire."""

    key: bytes
    seq: int
    ack: int
    flags: int
    payload: bytes


def segment(frame: bytes) -> Segment | None:
    """The TCP segment in an Ethernet frame; None for anything else, and for IP fragments."""
    at = 12
    while frame[at : at + 2] in _VLAN_TYPES:
        at += 4
    kind = frame[at : at + 2]
    at += 2
    if kind == b"\x08\x00":
        return _ipv4(frame, at)
    if kind == b"\x86\xdd":
        return _ipv6(frame, at)
    return None


def _ipv4(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 20 or frame[at + 9] != _TCP:
        return None
    if (frame[at + 6] & 0x3F) or frame[at + 7]:  # more fragments, or not the first one
        return None
    # The kernel leaves the length 0 when an offloaded packet is too long for the field.
    length = (frame[at + 2] << 8 | frame[at + 3]) or len(frame) - at
    return _tcp(frame, at + (frame[at] & 15) * 4, at + length, frame[at + 12 : at + 20])


def _ipv6(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 40:
        return None
    length = frame[at + 4] << 8 | frame[at + 5]
    end = at + 40 + length if length else len(frame)
    following, body = frame[at + 6], at + 40
    while following in _IPV6_EXTENSIONS and body + 8 <= len(frame):
        following, body = frame[body], body + 8 + frame[body + 1] * 8
    if following != _TCP:
        return None
    return _tcp(frame, body, end, frame[at + 8 : at + 40])


def _tcp(frame: bytes, at: int, end: int, addresses: bytes) -> Segment | None:
    if len(frame) < at + 20:
        return None
    return Segment(
        addresses + frame[at : at + 4],
        int.from_bytes(frame[at + 4 : at + 8], "big"),
        int.from_bytes(frame[at + 8 : at + 12], "big"),
        frame[at + 13],
        frame[at + (frame[at + 12] >> 4) * 4 : end],
    )


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]


def source(key: bytes) -> Endpoint:
    """The end that sends what carries this key."""
    half = (len(key) - 4) // 2
    return Endpoint(str(ipaddress.ip_address(key[:half])), int.from_bytes(key[-4:-2], "big"))
