"""Capture files, pcap and pcapng, read as they are or while they grow.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Ours are
written by capture.storing. scapy can read them, too; its readers tell of
neither the place of what is garbled nor the secrets of a capture, and take
twice the time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, Final, final

from kubewitness.wire.words import big32, little32

_READ_BYTES: Final = 1 << 16  # larger ones are mapped anew each time, which costs more than the reading
_LARGEST_BLOCK: Final = 1 << 26
_NS: Final = 1_000_000_000

SECTION: Final = 0x0A0D0D0A
INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
STATISTICS: Final = 5
PACKET: Final = 6
SECRETS: Final = 10
_BYTE_ORDER = 0x1A2B3C4D
TLS_KEY_LOG = 0x544C534B
_END_OF_OPTIONS = 0
_NAME, _TIME_RESOLUTION, _TIME_OFFSET = 2, 9, 14  # options of an interface
_BEGAN, _LOST, _LOST_BY_SYSTEM = 2, 5, 7  # options of an interface's statistics
_NOT_KNOWN = 2**64 - 1
#: The magic of a pcap file, and how many nanoseconds its fractions of a second are.
_PCAP = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}


class BrokenCapture(Exception):
    """A file is no capture, or is garbled: where, what was wanted, and what was found."""


@final
class Packet:
    """``link`` is the LINKTYPE of ``data``; ``wire_bytes`` its length before it was cut, if it was."""

    __slots__ = ("data", "interface", "link", "time_ns", "wire_bytes")

    def __init__(self, time_ns: int, link: int, data: bytes, wire_bytes: int, interface: str) -> None:
        self.time_ns = time_ns
        self.link = link
        self.data = data
        self.wire_bytes = wire_bytes
        self.interface = interface


@final
class _Interface:
    __slots__ = ("_factor", "_offset_ns", "_ticks", "link", "name")

    def __init__(self, link: int, name: str, ticks: int, offset_s: int) -> None:
        self.link = link
        self.name = name
        self._ticks = ticks  # in a second
        self._factor = 0 if _NS % ticks else _NS // ticks
        self._offset_ns = offset_s * _NS

    def time_ns(self, ticks: int) -> int:
        if self._factor:  # as nearly always: no number is too large for a register
            return ticks * self._factor + self._offset_ns
        return ticks * _NS // self._ticks + self._offset_ns


class Losses:
    """The packets that captures lost, as the statistics of their interfaces tell (blocks of type 5).

    What these count began with the capture, which may be in several sections and files. Those whose captures
    began at the same time are one: the numbers of the last are those of the whole.
    """

    def __init__(self) -> None:
        self._captures: dict[int, dict[int, int]] = {}  # by their begin: the packets that interfaces lost
        self._section = 0

    def section(self) -> None:
        self._section -= 1

    def tell(self, interface: int, began: int | None, lost: int) -> None:
        """The beginning is in units of the interface's; without one, each section is a capture of its own."""
        self._captures.setdefault(self._section if began is None else began, {})[interface] = lost

    @property
    def packets(self) -> int:
        return sum(sum(each.values()) for each in self._captures.values())


class CaptureFile:
    """Reads packet after packet. ``learn`` is given the text of key logs that the file brings along.

    ``losses`` are what the parts before this one told, and then this one, as far as it was read.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        learn: Callable[[str], None] = lambda _: None,
        losses: Losses | None = None,
    ) -> None:
        self.packets = 0
        self.losses = losses or Losses()
        self._file = file
        self._name = name
        self._learn = learn
        self._data = b""
        self._at = 0
        self._before = 0  # bytes of the file before _data
        self._order, self._little = "", False
        self._interfaces: list[_Interface] = []
        self._link = 0  # of a pcap file
        self._fraction_ns = 0  # of a pcap file; 0: this is pcapng, or not known yet

    @property
    def cut_off(self) -> bool:
        """The file ends within something."""
        return self._at < len(self._data)

    def next(self) -> Packet | None:
        """The next packet; None when there is none, or none yet that is complete."""
        if self._fraction_ns:
            return self._record()
        if not self._order:
            return self.next() if self._begin() else None
        while self._have(12):
            kind, length = self._word(self._at), self._word(self._at + 4)
            if kind == SECTION:
                length = self._section()
            if length % 4 or not 12 <= length <= _LARGEST_BLOCK:
                raise self._broken(f"wanted a block's length, found {length}")
            if not self._have(length):
                return None
            start, end = self._at + 8, self._at + length - 4
            if self._word(end) != length:
                raise self._broken(f"wanted a block of {length} bytes, found another length at its end")
            try:
                found = self._block(kind, start, end)
            except (struct.error, IndexError) as error:
                raise self._broken(f"a block of type {kind} is garbled: {error}") from error
            self._at += length
            if found is not None:
                self.packets += 1
                return found
        return None

    def _have(self, count: int) -> bool:
        """Whether that many bytes are there; reads on if need be."""
        while len(self._data) - self._at < count:
            more = self._file.read(max(_READ_BYTES, count))
            if not more:
                return False
            self._before += self._at
            self._data = self._data[self._at :] + more
            self._at = 0
        return True

    def _broken(self, what: str) -> BrokenCapture:
        place = self._before + self._at
        return BrokenCapture(f"{self._name} is garbled at byte {place}, behind packet {self.packets}: {what}")

    def _begin(self) -> bool:
        if not self._have(4):
            return False
        start = self._data[:4]
        for order in "<>":
            magic = struct.unpack(order + "I", start)[0]
            if magic in _PCAP:
                if not self._have(24):
                    return False
                self._speak(order)
                self._fraction_ns = _PCAP[magic]
                self._link = self._word(20) & 0xFFFF
                self._at = 24
                return True
        if start != struct.pack("<I", SECTION):  # the same in either byte order
            raise BrokenCapture(f"{self._name} is no capture: wanted pcap or pcapng, found {start!r}")
        if not self._have(12):
            return False
        self._section()
        return True

    def _section(self) -> int:
        """A section may have another byte order than the one before it. Returns its header's length."""
        for order in "<>":
            length, magic = struct.unpack_from(order + "II", self._data, self._at + 4)
            if magic == _BYTE_ORDER:
                self._speak(order)
                self._interfaces = []
                self.losses.section()
                return int(length)
        raise self._broken("a section has no byte order")

    def _speak(self, order: str) -> None:
        self._order, self._little = order, order == "<"

    def _word(self, at: int) -> int:
        """32 bits in the file's byte order."""
        return little32(self._data, at) if self._little else big32(self._data, at)

    def _record(self) -> Packet | None:
        """The next packet of a pcap file."""
        if len(self._data) < self._at + 16 and not self._have(16):
            return None
        at = self._at
        size = self._word(at + 8)
        if size > _LARGEST_BLOCK:
            raise self._broken(f"wanted a packet's length, found {size}")
        if len(self._data) < self._at + 16 + size and not self._have(16 + size):
            return None
        at = self._at
        self._at = at + 16 + size
        self.packets += 1
        time_ns = self._word(at) * _NS + self._word(at + 4) * self._fraction_ns
        return Packet(time_ns, self._link, self._data[at + 16 : self._at], self._word(at + 12), "")

    def _block(self, kind: int, start: int, end: int) -> Packet | None:
        data = self._data
        if kind == PACKET:
            ticks = self._word(start + 4) << 32 | self._word(start + 8)
            size, wire = self._word(start + 12), self._word(start + 16)
            return self._packet(self._word(start), ticks, start + 20, size, wire, end)
        if kind == INTERFACE:
            self._interfaces.append(self._interface(start, end))
        elif kind == STATISTICS:
            self._statistics(start, end)
        elif kind == SECRETS:
            secrets, size = self._word(start), self._word(start + 4)
            if start + 8 + size > end:
                raise struct.error(f"wanted secrets of {size} bytes, found {max(0, end - start - 8)}")
            if secrets == TLS_KEY_LOG:
                self._learn(data[start + 8 : start + 8 + size].decode("ascii", "replace"))
        elif kind == _SIMPLE_PACKET:
            if end - start < 4:
                raise struct.error("it has no length")
            wire = self._word(start)
            return self._packet(0, 0, start + 4, min(wire, end - start - 4), wire, end)
        elif kind == _OLD_PACKET:
            number, _, high, low, size, wire = struct.unpack_from(self._order + "HHIIII", data, start)
            return self._packet(number, high << 32 | low, start + 20, size, wire, end)
        return None

    def _packet(self, number: int, ticks: int, start: int, size: int, wire: int, end: int) -> Packet:
        if start + size > end:
            raise self._broken(f"wanted a packet of {size} bytes, found {end - start}")
        if number >= len(self._interfaces):
            raise self._broken(f"a packet came by interface {number}, which is not described")
        interface = self._interfaces[number]
        data = self._data[start : start + size]
        return Packet(interface.time_ns(ticks), interface.link, data, wire, interface.name)

    def _interface(self, start: int, end: int) -> _Interface:
        (link,) = struct.unpack_from(self._order + "H", self._data, start)
        name, ticks, offset = "", 1_000_000, 0
        for code, value in self._options(start + 8, end):
            if code == _NAME:
                name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == _TIME_RESOLUTION:
                ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == _TIME_OFFSET:
                (offset,) = struct.unpack(self._order + "q", value)
        return _Interface(link, name, ticks, offset)

    def _statistics(self, start: int, end: int) -> None:
        number = self._word(start)
        began: int | None = None
        lost: int | None = None
        for code, value in self._options(start + 12, end):
            if code == _BEGAN:
                high, low = struct.unpack(self._order + "II", value)
                began = high << 32 | low
            elif code in (_LOST, _LOST_BY_SYSTEM):
                (count,) = struct.unpack(self._order + "Q", value)
                if count != _NOT_KNOWN:
                    lost = count + (lost or 0)
        if lost is not None:
            self.losses.tell(number, began, lost)

    def _options(self, at: int, end: int) -> list[tuple[int, bytes]]:
        found = []
        while at + 4 <= end:
            code, size = struct.unpack_from(self._order + "HH", self._data, at)
            if code == _END_OF_OPTIONS:
                break
            found.append((code, self._data[at + 4 : min(at + 4 + size, end)]))
            at += 4 + size + -size % 4
        return found
