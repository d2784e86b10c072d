"""The capturing process: from a packet socket (file descriptor 3) into a pcapng file.

It runs inside the control plane's network namespace. The socket was opened by
the cluster's keeper before any component was started, so nothing is missed
while this program is still being loaded. Files are written by scapy.

A UDP packet to port 9 (discard) whose payload begins with MARKER is a
barrier: when all packets before it are in the file, its sender gets back the
same payload followed by the statistics as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

from scapy.utils import PcapNgWriter

from kubewitness.capture.sockets import Owners

MARKER = b"kubewitness-barrier:"
SOL_PACKET, PACKET_STATISTICS, SO_TIMESTAMPNS = 263, 6, 35
_SNAP_BYTES = 1 << 18
_BATCH = 512
ETHERNET = 1


class Capture:
    def __init__(self, sock: socket.socket, file: Path, owners: Owners) -> None:
        self.sock = sock
        self.owners = owners
        self.writer = PcapNgWriter(str(file))
        self.writer.linktype = ETHERNET
        self.writer._write_block_shb()
        # scapy keeps interface 0 for packets whose interface is not told, and counts on its description.
        self.writer._write_block_idb(linktype=ETHERNET)
        self.writer.f.flush()
        self.frames = 0
        self.dropped = 0
        self.interfaces: set[str] = set()
        self.barriers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.barriers.bind(("0.0.0.0", 9))  # noqa: S104 - the namespace is the cluster's own

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        while True:
            poll.poll()
            self._take_batch()

    def _take_batch(self) -> None:
        """Drains what is there, up to a batch, and makes it readable before anything else is done."""
        opened: list[tuple[int, int, bytes]] = []
        barriers: list[bytes] = []
        for _ in range(_BATCH):
            try:
                data, ancillary, _, address = self.sock.recvmsg(_SNAP_BYTES, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            self.frames += 1
            time_ns = _stamp(ancillary)
            self._write(data, time_ns, address[0])
            kind = _interesting(data)
            if kind == "syn":
                opened.append((self.frames, time_ns, data))
            elif kind == "barrier":
                barriers.append(data[42:])
        self.writer.f.flush()
        for frame, time_ns, data in opened:
            self.owners.record(frame, time_ns, *_endpoints(data))
        for payload in barriers:
            self._answer(payload)

    def _write(self, data: bytes, time_ns: int, interface: str) -> None:
        self.interfaces.add(interface)
        self.writer._write_packet(
            data, linktype=ETHERNET, sec=time_ns / 1e9, wirelen=len(data), ifname=interface.encode()
        )

    def _answer(self, payload: bytes) -> None:
        packets, drops = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.dropped += drops  # the kernel starts again from 0 after each reading
        statistics = {
            "packets": self.frames,
            "dropped": self.dropped,
            "interfaces": sorted(self.interfaces),
        }
        # The datagram itself also arrives on the bound socket: that is where its sender's address is.
        while True:
            received, sender = self.barriers.recvfrom(2048)
            self.barriers.sendto(received + json.dumps(statistics).encode(), sender)
            if payload.startswith(received):
                return


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def _interesting(data: bytes) -> str:
    """``syn`` for the first packet of a TCP connection, ``barrier`` for one of ours, else nothing."""
    if len(data) < 42 or data[12:14] != b"\x08\x00":
        return ""
    at = 14 + (data[14] & 15) * 4
    if data[23] == 6 and len(data) > at + 13 and data[at + 13] & 0x12 == 0x02:
        return "syn"
    if data[23] == 17 and data[at + 2 : at + 4] == b"\x00\x09" and data[at + 8 :].startswith(MARKER):
        return "barrier"
    return ""


def _endpoints(data: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    at = 14 + (data[14] & 15) * 4
    source, target = struct.unpack_from("!HH", data, at)
    return (socket.inet_ntoa(data[26:30]), source), (socket.inet_ntoa(data[30:34]), target)


def main() -> None:
    file, sockets, run_directory, others = sys.argv[1:]
    owners = Owners(Path(run_directory), Path(sockets), json.loads(others))
    Capture(socket.socket(fileno=3), Path(file), owners).run()


if __name__ == "__main__":
    main()
