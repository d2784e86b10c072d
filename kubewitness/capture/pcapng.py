"""Blocks of pcapng files, as they are written (draft-ietf-opsawg-pcapng). They are read in capture.files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kubewitness.capture.files import INTERFACE, PACKET, SECRETS, SECTION, STATISTICS, TLS_KEY_LOG, Packet

_COMMENT, _NAME, _PROGRAM, _TIME_RESOLUTION = 1, 2, 4, 9
_BEGAN, _ENDED, _RECEIVED, _LOST = 2, 3, 4, 5  # options of an interface's statistics
_NANOSECONDS = b"\x09"  # 10**-9 s
_HEAD = struct.Struct("<7I")
_LENGTH = struct.Struct("<I")
#: One that several interfaces share does not tell by which of them a packet came that it had no room for.
_SHARED = "the kernel's ring, which these {} interfaces share, lost {} packets; by which is not known"
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by a length modulo 4


def _block(kind: int, body: bytes) -> bytes:
    body += _PADDING[len(body) % 4]
    length = _LENGTH.pack(len(body) + 12)
    return _LENGTH.pack(kind) + length + body + length


def _options(*options: tuple[int, bytes]) -> bytes:
    told = b"".join(
        struct.pack("<HH", code, len(value)) + value + _PADDING[len(value) % 4]
        for code, value in options
        if value
    )
    return told and told + bytes(4)


def _time(time_ns: int) -> bytes:
    return struct.pack("<II", time_ns >> 32, time_ns & 0xFFFFFFFF)


def section(program: str, comment: str = "") -> bytes:
    """What a file begins with."""
    told = _options((_PROGRAM, program.encode()), (_COMMENT, comment.encode()))
    return _block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + told)


def secrets(lines: bytes) -> bytes:
    """Lines of a key log: what they open comes behind them."""
    return _block(SECRETS, struct.pack("<II", TLS_KEY_LOG, len(lines)) + lines)


class Packets:
    """The packets of one section. An interface is described before its first packet."""

    def __init__(self) -> None:
        self._interfaces: dict[tuple[str, int], int] = {}

    def block(self, packet: Packet, comment: str = "") -> bytes:
        source = packet.interface, packet.link
        number = self._interfaces.get(source)
        if number is None:
            self._interfaces[source] = len(self._interfaces)
            return self._described(*source) + self.block(packet, comment)
        data, time_ns = packet.data, packet.time_ns
        tail = _PADDING[len(data) % 4]
        if comment:
            tail += _options((_COMMENT, comment.encode()))
        length = 32 + len(data) + len(tail)
        head = _HEAD.pack(
            PACKET, length, number, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), packet.wire_bytes
        )
        return head + data + tail + _LENGTH.pack(length)

    @property
    def room_for_statistics(self) -> int:
        """Bytes that ``statistics`` does not exceed."""
        return 100 * len(self._interfaces) + 160

    def statistics(self, began_ns: int, ended_ns: int, received: Mapping[str, int], lost: int) -> bytes:
        """A block for each interface: how many packets came by it since the capture began, and were lost.

        ``lost`` is of all interfaces. Unless it is 0, it stands in the block of the first alone.
        """
        count = len(self._interfaces)
        blocks = []
        for (name, _), number in self._interfaces.items():
            told = [
                (_BEGAN, _time(began_ns)),
                (_ENDED, _time(ended_ns)),
                (_RECEIVED, struct.pack("<Q", received[name])),
            ]
            if number == 0 or not lost:
                told.append((_LOST, struct.pack("<Q", lost)))
            if number == 0 and lost and count > 1:
                told.append((_COMMENT, _SHARED.format(count, lost).encode()))
            blocks.append(_block(STATISTICS, struct.pack("<I", number) + _time(ended_ns) + _options(*told)))
        return b"".join(blocks)

    @staticmethod
    def _described(name: str, link: int) -> bytes:
        told = _options((_NAME, name.encode()), (_TIME_RESOLUTION, _NANOSECONDS))
        return _block(INTERFACE, struct.pack("<HHI", link, 0, 0) + told)
