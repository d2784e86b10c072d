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

from kubewitness.model.history import CaptureStatistics
from kubewitness.model.verdict import Inconclusive

MARKER = b"kubewitness-barrier:"
CAPTURE_PORT, OWNERS_PORT = 9, 10
SO_TIMESTAMPNS = 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6


def stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's time stamp of a received packet, in nanoseconds since the epoch."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def dropped(packets: socket.socket) -> int:
    """How many packets the kernel had no room for in a packet socket since it was last asked (packet(7))."""
    _, drops = struct.unpack("II", packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(drops)


def marker(frame: bytes, port: int) -> bytes | None:
    """The payload of an Ethernet frame that is a barrier for ``port``, else None."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    at = 14 + (frame[14] & 15) * 4
    if struct.unpack_from("!H", frame, at + 2)[0] != port or not frame.startswith(MARKER, at + 8):
        return None
    return frame[at + 8 :]


def answer(bound: socket.socket, payload: bytes, told: bytes) -> None:
    """Sends ``payload`` followed by ``told`` back to where the barrier came from."""
    # The datagram arrives on the bound socket, too: that is where its sender's address is.
    while True:
        received, sender = bound.recvfrom(4096)
        bound.sendto(received + told, sender)
        if payload.startswith(received):
            return


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
    return CaptureStatistics(told["packets"], told["dropped"], tuple(told["interfaces"]))


def pass_through(address: str, note: str, within_s: float) -> bytes:
    """Sends a barrier past every reader at ``address`` and returns what the capture told.

    Raises TimeoutError or ConnectionRefusedError where a reader does not answer.
    """
    payload = MARKER + f"{time.time_ns()}:{note}".encode()
    answers = {}
    # The processes last: whose connection is captured by then must be known, too.
    for port in (CAPTURE_PORT, OWNERS_PORT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(within_s)
            sock.connect((address, port))
            sock.send(payload)
            answers[port] = sock.recv(8192).removeprefix(payload)
    return answers[CAPTURE_PORT]
