"""The capturing process: from a packet socket with a ring (file descriptor 3) into pcapng files.

It runs inside the control plane's network namespace. The socket was opened by
the cluster's keeper before any component was started, so nothing is missed
while this program is still being loaded. Arguments: the first file, and where
secrets are to be captured, the key log that a component writes.

When it meets a barrier (see capture.barriers), all packets before it are in
the file; the answer carries the statistics as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from pathlib import Path

from kubewitness.capture.barriers import CAPTURE_PORT, MARKER, Barrier, answer, barrier_in
from kubewitness.capture.files import Packet
from kubewitness.capture.ring import CAPTURE, Ring
from kubewitness.capture.storing import Store

_UDP = bytes([socket.IPPROTO_UDP])


class Capture:
    def __init__(self, ring: Ring, store: Store) -> None:
        self.ring = ring
        self.store = store
        self.interfaces: set[str] = set()
        self.barriers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.barriers.bind(("0.0.0.0", CAPTURE_PORT))  # noqa: S104 - the namespace is the cluster's own

    def run(self) -> None:
        poll = select.poll()
        for each in (self.ring, self.barriers):
            poll.register(each, select.POLLIN)
        while True:
            for ready, _ in poll.poll():
                if ready == self.barriers.fileno():
                    # Its packet is in the ring, perhaps in a block whose time is not over.
                    self.barriers.recv(1)
                    self.ring.flush()
            while (packets := self.ring.take()) is not None:
                self._store(packets)

    def _store(self, packets: list[Packet]) -> None:
        """Makes them readable before anything else is done."""
        met: dict[int, Barrier] = {}
        for place, packet in enumerate(packets):
            # The protocol of IPv4: most packets are spared the closer look.
            if packet.data[23:24] == _UDP and (barrier := barrier_in(packet.data, CAPTURE_PORT)):
                met[place] = barrier
        self.interfaces.update(each.interface for each in packets)
        self.store.write(packets, {place: _told(barrier) for place, barrier in met.items()})
        for barrier in met.values():
            answer(self.barriers, barrier, self._statistics())

    def _statistics(self) -> bytes:
        """The fields of model.history.CaptureStatistics."""
        return json.dumps(
            {
                "packets": self.store.packets,
                "dropped": self.ring.lost(),
                "interfaces": sorted(self.interfaces),
                "unwritten": self.store.unwritten,
                "why_unwritten": self.store.why,
            }
        ).encode()


def _told(barrier: Barrier) -> str:
    """The barrier's note, for whoever reads the file in Wireshark."""
    note = barrier.payload.removeprefix(MARKER).partition(b":")[2].decode(errors="replace")
    return f"kubewitness barrier {note}".strip()


def main() -> None:
    first, *keys = map(Path, sys.argv[1:])
    Capture(Ring(socket.socket(fileno=3), CAPTURE), Store(first, *keys)).run()


if __name__ == "__main__":
    main()
