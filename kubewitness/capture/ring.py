"""A packet socket with a ring: memory that the kernel fills and hands over block by block (packet(7)).

The format is TPACKET_V3 of Linux' Documentation/networking/packet_mmap.rst. A
ring is one queue, so the order of its packets is a total order. The kernel
hands a block over when the next packet does not fit, or when its time is over.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
from typing import NamedTuple

from kubewitness.capture.files import Packet
from kubewitness.wire.packet import ETHERNET

EVERYTHING = 3  # ETH_P_ALL
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_SOL_PACKET, _PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 263, 5, 6, 10
_TPACKET_V3 = 2
_NS = 1_000_000_000

_RAW = 101
#: Kinds of links (if_arp.h), and what a packet socket gives of their packets.
_LINKS = {1: ETHERNET, 772: ETHERNET, 65534: _RAW}
_LOOPBACK = 772

#: tpacket_block_desc: version, place of private data; status, packets, place of the first.
_BLOCK = struct.Struct("=8x3I")
_STATUS_AT = 8
_READABLE = 1
#: tpacket3_hdr: place of the next, seconds, nanoseconds, captured, length, status, place of the data, tag of
#: a VLAN and its protocol; sockaddr_ll: interface, kind of link.
_HEAD = struct.Struct("=6IH6xIH14xiH")
_HAS_TAG, _HAS_TAG_PROTOCOL = 0x10, 0x40
_TAGGED = 0x8100

#: A frame of an "experimental" protocol (IEEE 802), as long as the loopback interface takes: see Ring.flush.
_FILLER = (bytes(12) + b"\x88\xb5kubewitness-filler").ljust(14 + 65536, b"\0")
_FILLER_START = _FILLER[:32]


#: A program of the kernel's packet filter: what leaves by a loopback interface does not pass, since it
#: arrives there, too. Code, jumps if true and if false, operand; ancillary data lies below address 0.
_ONCE = (
    (0x20, 0, 0, -0x1000 + 28 & 0xFFFFFFFF),  # load the kind of link (SKF_AD_HATYPE)
    (0x15, 0, 2, _LOOPBACK),
    (0x20, 0, 0, -0x1000 + 4 & 0xFFFFFFFF),  # load the direction (SKF_AD_PKTTYPE)
    (0x15, 1, 0, socket.PACKET_OUTGOING),
    (0x06, 0, 0, 1 << 18),  # pass, up to that many bytes
    (0x06, 0, 0, 0),
)


class Shape(NamedTuple):
    """``blocks`` of ``block_bytes``; one is handed over after at most ``patience_ms``."""

    block_bytes: int
    blocks: int
    patience_ms: int

    @property
    def request(self) -> tuple[int, ...]:
        """The numbers of the kernel's tpacket_req3."""
        slot = 2048  # only has to divide a block: packets take what they need
        return (
            self.block_bytes,
            self.blocks,
            slot,
            self.block_bytes // slot * self.blocks,
            self.patience_ms,
            0,
            0,
        )


#: A block holds any packet, of up to 64 KiB, and takes little time to fill up (see Ring.flush). The whole
#: holds a burst of 330,000 small packets. Patience costs nobody time, and the reader wakes up less often.
CAPTURE = Shape(1 << 17, 1024, 50)
LIVE = Shape(1 << 17, 512, 10)


def listen(interface: str, shape: Shape) -> socket.socket:
    """A packet socket with a ring, over one interface, or over all if it is "". It shows each packet once.

    Raises PermissionError without CAP_NET_RAW, OSError with ENODEV without such an interface, and with ENOMEM
    without memory for the ring.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # no protocol yet: nothing comes in
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # as a packet arrives, not as it is queued
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("7I", *shape.request))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _ONCE))
        program = struct.pack("HxxxxxxP", len(_ONCE), ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        _bind(sock, interface)
    except OSError:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, interface: str) -> None:
    if interface:
        sock.bind((interface, EVERYTHING))
        return
    # Python's bind() wants the name of one interface; index 0 is all of them.
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(EVERYTHING), 0, 0, 0, 0, b"")
    if ctypes.CDLL(None, use_errno=True).bind(sock.fileno(), address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), "a packet socket cannot be bound to all interfaces")


class _Interface(NamedTuple):
    name: str
    link: int | None  # None: of a kind that is not read


class Ring:
    """Reads the ring of ``sock``, which has ``shape``."""

    def __init__(self, sock: socket.socket, shape: Shape) -> None:
        self._sock = sock
        self._shape = shape
        self._memory = mmap.mmap(sock.fileno(), shape.block_bytes * shape.blocks)
        self._next = 0
        self._interfaces: dict[int, _Interface] = {}
        self._filling: socket.socket | None = None
        self._lost = 0

    def fileno(self) -> int:
        """Readable when a block is."""
        return self._sock.fileno()

    def take(self) -> list[Packet] | None:
        """The packets of the next block that was handed over, None if there is none. The kernel gets it back.

        Links of other kinds than Ethernet and plain IP are left out.
        """
        block = self._next * self._shape.block_bytes
        status, count, first = _BLOCK.unpack_from(self._memory, block)
        if not status & _READABLE:
            return None
        found = self._packets(block + first, count)
        struct.pack_into("=I", self._memory, block + _STATUS_AT, 0)
        self._next = (self._next + 1) % self._shape.blocks
        return found

    def _packets(self, at: int, count: int) -> list[Packet]:
        memory, interfaces, found = self._memory, self._interfaces, []
        for _ in range(count):
            step, seconds, fraction, captured, size, status, place, tag, protocol, index, kind = (
                _HEAD.unpack_from(memory, at)
            )
            start = at + place
            at += step
            if size == len(_FILLER) and memory[start : start + len(_FILLER_START)] == _FILLER_START:
                continue
            interface = interfaces.get(index) or self._interface(index, kind)
            if interface.link is None:
                continue
            data = memory[start : start + captured]
            if status & _HAS_TAG:  # the card, or the kernel, took it out of the packet
                tagged = protocol if status & _HAS_TAG_PROTOCOL else _TAGGED
                data = data[:12] + struct.pack("!HH", tagged, tag & 0xFFFF) + data[12:]
                size += 4
            time_ns = seconds * _NS + fraction
            found.append(Packet(time_ns, interface.link, data, size, interface.name))
        return found

    def _interface(self, index: int, kind: int) -> _Interface:
        try:
            name = socket.if_indextoname(index)
        except OSError:
            name = f"if{index}"  # it is gone already
        known = self._interfaces[index] = _Interface(name, _LINKS.get(kind))
        return known

    def flush(self) -> None:
        """Has the kernel hand over, now, the block that it is filling, if this ring listens to ``lo``.

        A block ends early only when a packet does not fit, so it is filled up with frames that ``take``
        leaves out and that no protocol of the kernel's knows.
        """
        try:
            if self._filling is None:
                self._filling = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                self._filling.bind(("lo", 0))
            for _ in range(-(-self._shape.block_bytes // len(_FILLER))):
                self._filling.send(_FILLER)
        except OSError:  # lo is down, or takes only smaller frames
            return  # the block is handed over all the same, when its time is over

    def wait(self) -> None:
        """Returns when a block is readable. Raises OSError when the interface goes down."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.poll()
        if number := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))

    def lost(self) -> int:
        """How many packets the kernel had no room for so far."""
        counted = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)  # since it was last asked
        self._lost += struct.unpack("II", counted)[1]
        return self._lost

    def close(self) -> None:
        self._memory.close()
        self._sock.close()
        if self._filling is not None:
            self._filling.close()
