"""Packets of this host's interfaces as they pass, from a packet socket with a ring."""

from __future__ import annotations

import errno
import socket
from collections import deque

from kubewitness.capture.files import Packet
from kubewitness.capture.ring import LIVE, Ring, listen


class NoCapture(Exception):
    """An interface cannot be listened to: why, and what would help."""


class Live:
    """``interface`` is a name, or ``any``."""

    def __init__(self, interface: str) -> None:
        try:
            self._ring = Ring(listen("" if interface == "any" else interface, LIVE), LIVE)
        except PermissionError as error:
            raise NoCapture(
                "listening to an interface takes the right CAP_NET_RAW, which this process lacks:"
                " start it as root, or read a capture from a file"
            ) from error
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise NoCapture(f"{interface} cannot be listened to: {error.strerror}") from error
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise NoCapture(f"there is no interface {interface!r}; there are {names}, and any") from error
        self._interface = interface
        self._packets: deque[Packet] = deque()

    def next(self) -> Packet | None:
        """The next packet that has arrived and is to be looked at; None if there is none at the moment."""
        while not self._packets:
            if (packets := self._ring.take()) is None:
                return None
            self._packets.extend(packets)
        return self._packets.popleft()

    def wait(self) -> None:
        """Returns when a packet has arrived."""
        try:
            self._ring.wait()
        except OSError as error:
            raise NoCapture(
                f"{self._interface} cannot be listened to any longer: {error.strerror}"
            ) from error

    def lost(self) -> int:
        """How many packets the kernel had no room for so far."""
        return self._ring.lost()

    def close(self) -> None:
        self._ring.close()
