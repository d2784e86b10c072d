"""From a frame to the TCP segment in it."""

from __future__ import annotations

import ipaddress
from typing import Final, final

from kubewitness.model.observation import Endpoint
from kubewitness.wire.words import big16, big32

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

_TCP: Final = 6
_FIVE_WORDS: Final = 0x45
_MORE_OR_PLACE: Final = 0x3F  # of a fragment, in the upper half
#: LINKTYPE values of capture files.
ETHERNET: Final = 1
#: Linux' cooked captures, as of the interface `any`: the places of the protocol and of the packet.
_COOKED = {113: (14, 16), 276: (0, 20)}
_LOOPBACK = (0, 108)  # of BSD, macOS and Windows
_RAW = (12, 14, 101, 228, 229)  # IP and nothing before it
LINKS = frozenset({ETHERNET, *_COOKED, *_LOOPBACK, *_RAW})

_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_BY_VERSION = {4: _IPV4, 6: _IPV6}
_VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
_IPV6_EXTENSIONS = {0, 43, 60}  # hop-by-hop, routing, destination options


@final
class Segment:
    """A TCP segment. ``key`` is source address, destination address and both ports as on the wire.

    ``cut`` is how many bytes of the payload the capture left out.
    """

    __slots__ = ("ack", "cut", "flags", "key", "payload", "seq")

    def __init__(self, key: bytes, seq: int, ack: int, flags: int, payload: bytes, cut: int) -> None:
        self.key = key
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.payload = payload
        self.cut = cut


def segment(frame: bytes, link: int = ETHERNET) -> Segment | None:
    """The TCP segment in a frame of a link type; None for anything else, and for IP fragments."""
    if link == ETHERNET:
        captured = len(frame)
        if (  # nearly every packet: IPv4 without options, not fragmented
            captured >= 54
            and frame[14] == _FIVE_WORDS
            and frame[12] == 8
            and frame[13] == 0
            and frame[23] == _TCP
            and frame[21] == 0
            and not frame[20] & _MORE_OR_PLACE
        ):
            end = 14 + (big16(frame, 16) or captured - 14)
            cut = end - captured if end > captured else 0
            payload = _between(frame, 34 + (frame[46] >> 4) * 4, end)
            return Segment(frame[26:38], big32(frame, 38), big32(frame, 42), frame[47], payload, cut)
        at = 12
        while frame[at : at + 2] in _VLAN_TYPES:
            at += 4
        carried = frame[at : at + 2]
        at += 2
    elif link in _COOKED:
        place, at = _COOKED[link]
        carried = frame[place : place + 2]
        while carried in _VLAN_TYPES:
            carried = frame[at + 2 : at + 4]
            at += 4
    elif link in _LOOPBACK or link in _RAW:  # what it is, IP's own version tells
        at = 4 if link in _LOOPBACK else 0
        carried = _BY_VERSION.get(frame[at] >> 4, b"") if len(frame) > at else b""
    else:
        return None
    if carried == _IPV4:
        return _ipv4(frame, at)
    if carried == _IPV6:
        return _ipv6(frame, at)
    return None


def _ipv4(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 20 or frame[at + 9] != _TCP:
        return None
    if (frame[at + 6] & _MORE_OR_PLACE) or frame[at + 7]:  # more fragments, or not the first one
        return None
    # The kernel leaves the length 0 when an offloaded packet is too long for the field.
    length = big16(frame, at + 2) or len(frame) - at
    return _tcp(frame, at + (frame[at] & 15) * 4, at + length, frame[at + 12 : at + 20])


def _ipv6(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 40:
        return None
    length = big16(frame, at + 4)
    end = at + 40 + length if length else len(frame)
    following, body = frame[at + 6], at + 40
    while following in _IPV6_EXTENSIONS and body + 8 <= len(frame):
        following, body = frame[body], body + 8 + frame[body + 1] * 8
    if following != _TCP:
        return None
    return _tcp(frame, body, end, frame[at + 8 : at + 40])


def _tcp(frame: bytes, at: int, end: int, addresses: bytes) -> Segment | None:
    captured = len(frame)
    if captured < at + 20:
        return None
    payload = _between(frame, at + (frame[at + 12] >> 4) * 4, end)
    cut = end - captured if end > captured else 0
    key = addresses + frame[at : at + 4]
    return Segment(key, big32(frame, at + 4), big32(frame, at + 8), frame[at + 13], payload, cut)


def _between(frame: bytes, start: int, end: int) -> bytes:
    """Damage may have the end lie before the start, which no slice of a compiled module may."""
    return frame[start:end] if start < end else b""


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]


def source(key: bytes) -> Endpoint:
    """The end that sends what carries this key."""
    half = (len(key) - 4) // 2
    return Endpoint(str(ipaddress.ip_address(key[:half])), int.from_bytes(key[-4:-2], "big"))
