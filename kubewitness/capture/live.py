"""Packets of this host's interfaces as they pass, from a packet socket (packet(7))."""

from __future__ import annotations

import errno
import select
import socket

from kubewitness.capture.barriers import SO_TIMESTAMPNS, dropped, stamp
from kubewitness.capture.files import Packet
from kubewitness.wire.packet import ETHERNET

_EVERYTHING = 3  # ETH_P_ALL
_RAW = 101
_SNAP_BYTES, _BUFFER_BYTES = 1 << 18, 64 << 20
_SO_RCVBUFFORCE = 33
#: Kinds of links (if_arp.h), and what a packet socket gives of their packets.
_LINKS = {1: ETHERNET, 772: ETHERNET, 65534: _RAW}
_LOOPBACK = 772


class NoCapture(Exception):
    """An interface cannot be listened to: why, and what would help."""


class Live:
    """``interface`` is a name, or ``any``."""

    def __init__(self, interface: str) -> None:
        everywhere = interface == "any"
        try:
            # Without a protocol a packet socket gets nothing until it is bound to an interface.
            protocol = socket.htons(_EVERYTHING) if everywhere else 0
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)
        except PermissionError as error:
            raise NoCapture(
                "listening to an interface takes the right CAP_NET_RAW, which this process lacks:"
                " start it as root, or read a capture from a file"
            ) from error
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except PermissionError:  # without CAP_NET_ADMIN the system's limit holds; losses are told anyway
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            if not everywhere:
                self._socket.bind((interface, _EVERYTHING))
        except OSError as error:
            self._socket.close()
            if error.errno != errno.ENODEV:
                raise
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise NoCapture(f"there is no interface {interface!r}; there are {names}, and any") from error
        self._lost = 0

    def next(self) -> Packet | None:
        """The next packet that has arrived and is to be looked at; None if there is none at the moment."""
        while True:
            try:
                data, ancillary, _, address = self._socket.recvmsg(_SNAP_BYTES, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            name, _, direction, kind, *_ = address
            # What one sends on the loopback interface passes twice.
            twice = kind == _LOOPBACK and direction == socket.PACKET_OUTGOING
            if kind in _LINKS and not twice:
                return Packet(stamp(ancillary), _LINKS[kind], data, len(data), name)

    def wait(self) -> None:
        """Returns when a packet has arrived."""
        select.select([self._socket], [], [])

    def lost(self) -> int:
        """How many packets the kernel had no room for so far."""
        self._lost += dropped(self._socket)
        return self._lost

    def close(self) -> None:
        self._socket.close()
