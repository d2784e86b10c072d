"""From a frame to the TCP segment in it."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, final

from kubewitness.model.observation import Endpoint

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

_TCP: Final = 6
#: Nearly every packet is Ethernet, IPv4 without options, and TCP. Of such a one: what Ethernet carries, the
#: version and length of IPv4's header, its length, a fragment's place, the protocol, the key, TCP's numbers.
_USUAL: Final = struct.Struct("!12xHBxHxxHxB2x12sIIBB")
_USUAL_BYTES: Final = 14 + 20 + 20
_IPV4_TYPE: Final = 0x0800
_FIVE_WORDS: Final = 0x45
_FRAGMENT: Final = 0x3FFF  # more of it, or its place
#: Sequence number, acknowledgement, length of the header in the upper half of a byte, and flags.
_NUMBERS: Final = struct.Struct("!IIBB")
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
        if captured >= _USUAL_BYTES:
            kind, ip, length, fragment, protocol, key, seq, ack, words, flags = _USUAL.unpack_from(frame)
            if kind == _IPV4_TYPE and ip == _FIVE_WORDS and protocol == _TCP and not fragment & _FRAGMENT:
                end = 14 + length if length else captured
                cut = end - captured if end > captured else 0
                return Segment(key, seq, ack, flags, frame[34 + (words >> 4) * 4 : end], cut)
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
    captured = len(frame)
    if captured < at + 20:
        return None
    seq, ack, words, flags = _NUMBERS.unpack_from(frame, at + 4)
    payload = frame[at + (words >> 4) * 4 : end]
    return Segment(
        addresses + frame[at : at + 4], seq, ack, flags, payload, end - captured if end > captured else 0
    )


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]


def source(key: bytes) -> Endpoint:
    """The end that sends what carries this key."""
    half = (len(key) - 4) // 2
    return Endpoint(str(ipaddress.ip_address(key[:half])), int.from_bytes(key[-4:-2], "big"))
