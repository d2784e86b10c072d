"""The capturing process: from a packet socket (file descriptor 3) into a pcapng file.

It runs inside the control plane's network namespace. The socket was opened by
the cluster's keeper before any component was started, so nothing is missed
while this program is still being loaded. Files are written by scapy.

When it meets a barrier (see capture.barriers), all packets before it are in
the file; the answer carries the statistics as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from pathlib import Path

from scapy.utils import PcapNgWriter

from kubewitness.capture.barriers import CAPTURE_PORT, answer, dropped, marker, stamp

_SNAP_BYTES = 1 << 18
_BATCH = 512
ETHERNET = 1


class Capture:
    def __init__(self, sock: socket.socket, file: Path) -> None:
        self.sock = sock
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
        self.barriers.bind(("0.0.0.0", CAPTURE_PORT))  # noqa: S104 - the namespace is the cluster's own

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        while True:
            poll.poll()
            self._take_batch()

    def _take_batch(self) -> None:
        """Drains what is there, up to a batch, and makes it readable before anything else is done."""
        barriers: list[bytes] = []
        for _ in range(_BATCH):
            try:
                data, ancillary, _, address = self.sock.recvmsg(_SNAP_BYTES, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            self.frames += 1
            self._write(data, stamp(ancillary), address[0])
            if (payload := marker(data, CAPTURE_PORT)) is not None:
                barriers.append(payload)
        self.writer.f.flush()
        for payload in barriers:
            self._answer(payload)

    def _write(self, data: bytes, time_ns: int, interface: str) -> None:
        self.interfaces.add(interface)
        self.writer._write_packet(
            data, linktype=ETHERNET, sec=time_ns / 1e9, wirelen=len(data), ifname=interface.encode()
        )

    def _answer(self, payload: bytes) -> None:
        self.dropped += dropped(self.sock)
        statistics = {
            "packets": self.frames,
            "dropped": self.dropped,
            "interfaces": sorted(self.interfaces),
        }
        answer(self.barriers, payload, json.dumps(statistics).encode())


def main() -> None:
    Capture(socket.socket(fileno=3), Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
