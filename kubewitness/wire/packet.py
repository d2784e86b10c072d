"""From a frame to the TCP segment in it."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from kubewitness.model.observation import Endpoint

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_TCP = 6
#: LINKTYPE values of capture files.
ETHERNET = 1
#: Linux' cooked captures, as of the interface `any`: the places of the protocol and of the packet.
_COOKED = {113: (14, 16), 276: (0, 20)}
_LOOPBACK = (0, 108)  # of BSD, macOS and Windows
_RAW = (12, 14, 101, 228, 229)  # IP and nothing before it
LINKS = frozenset({ETHERNET, *_COOKED, *_LOOPBACK, *_RAW})

_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_BY_VERSION = {4: _IPV4, 6: _IPV6}
_VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
_IPV6_EXTENSIONS = {0, 43, 60}  # hop-by-hop, routing, destination options


class Segment(NamedTuple):
    """A TCP segment. ``key`` is source address, destination address and both ports as on the wire.

    ``cut`` is how many bytes of the payload the capture left out.
    """

    key: bytes
    seq: int
    ack: int
    flags: int
    payload: bytes
    cut: int


def segment(frame: bytes, link: int = ETHERNET) -> Segment | None:
    """The TCP segment in a frame of a link type; None for anything else, and for IP fragments."""
    if link == ETHERNET:
        at = 12
        while frame[at : at + 2] in _VLAN_TYPES:
            at += 4
        kind = frame[at : at + 2]
        at += 2
    elif link in _COOKED:
        place, at = _COOKED[link]
        kind = frame[place : place + 2]
        while kind in _VLAN_TYPES:
            kind = frame[at + 2 : at + 4]
            at += 4
    elif link in _LOOPBACK or link in _RAW:  # what it is, IP's own version tells
        at = 4 if link in _LOOPBACK else 0
        kind = _BY_VERSION.get(frame[at] >> 4, b"") if len(frame) > at else b""
    else:
        return None
    if kind == _IPV4:
        return _ipv4(frame, at)
    if kind == _IPV6:
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
        max(0, end - len(frame)),
    )


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]


def source(key: bytes) -> Endpoint:
    """The end that sends what carries this key."""
    half = (len(key) - 4) // 2
    return Endpoint(str(ipaddress.ip_address(key[:half])), int.from_bytes(key[-4:-2], "big"))
