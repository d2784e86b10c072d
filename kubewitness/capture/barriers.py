"""Barriers: packets that run behind all others, so that an answer to one means "up to here".

A barrier is a UDP packet whose payload begins with MARKER. Each process that
reads packets has a port of its own, meets the barrier in its packet socket
after everything that came before, and answers its sender.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import NamedTuple

from kubewitness.model.history import CaptureStatistics
from kubewitness.model.verdict import Inconclusive

MARKER = b"kubewitness-barrier:"
CAPTURE_PORT, OWNERS_PORT = 9, 10
SO_TIMESTAMPNS = 35


def stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's time stamp of a received packet, in nanoseconds since the epoch."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


class Barrier(NamedTuple):
    payload: bytes
    sender: tuple[str, int]


def barrier_in(frame: bytes, port: int) -> Barrier | None:
    """The barrier for ``port`` that an Ethernet frame is, else None."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    at = 14 + (frame[14] & 15) * 4
    source, destination = struct.unpack_from("!HH", frame, at)
    if destination != port or not frame.startswith(MARKER, at + 8):
        return None
    return Barrier(frame[at + 8 :], (socket.inet_ntoa(frame[26:30]), source))


def answer(bound: socket.socket, barrier: Barrier, told: bytes) -> None:
    """Sends the barrier's payload followed by ``told`` back to where it came from."""
    bound.sendto(barrier.payload + told, barrier.sender)


def barrier(address: str, note: str = "", within_s: float = 30.0) -> CaptureStatistics:
    """Returns when every packet so far is in the file. ``note`` travels, readable, in the barrier's packet.

    ``address`` is the control plane's on the link to the host.
    """
    try:
        told = json.loads(pass_through(address, note, within_s))
    except (TimeoutError, ConnectionRefusedError) as error:
        raise Inconclusive(
            f"the capture did not answer within {within_s:g} s ({error}): it has died or is overrun;"
            " see logs/capture.log and logs/sockets.log in the evidence"
        ) from error
    return CaptureStatistics.of(told)


def pass_through(address: str, note: str, within_s: float) -> bytes:
    """Sends a barrier past every reader at ``address`` and returns what the capture told.

    Raises TimeoutError or ConnectionRefusedError where a reader does not answer.
    """
    told = ask(address, CAPTURE_PORT, note, within_s)
    # The processes last: whose connection is captured by then must be known, too.
    ask(address, OWNERS_PORT, note, within_s)
    return told


def ask(address: str, port: int, note: str, within_s: float) -> bytes:
    """The same past one reader."""
    payload = MARKER + f"{time.time_ns()}:{note}".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(within_s)
        sock.connect((address, port))
        sock.send(payload)
        # A barrier whose sender has given up is answered, too, and its port may be this one's by now.
        while not (told := sock.recv(8192)).startswith(payload):
            continue
        return told.removeprefix(payload)
