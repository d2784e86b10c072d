"""The capturing process: from a packet socket with a ring (file descriptor 3) into pcapng files.

It runs inside the control plane's network namespace. The socket was opened by
the cluster's keeper before any component was started, so nothing is missed
while this program is still being loaded. Arguments: the first file, and where
secrets are to be captured, the key log that a component writes.

When it meets a barrier (see capture.barriers), all packets before it are in
the file; the answer carries the statistics as JSON. At SIGTERM or SIGINT it
ends with the statistics of its interfaces in the file.
"""

from __future__ import annotations

import json
import os
import select
import signal
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
        self.barriers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.barriers.bind(("0.0.0.0", CAPTURE_PORT))  # noqa: S104 - the namespace is the cluster's own
        self._end, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: None)  # the pipe tells of it, never within a packet

    def run(self) -> None:
        """Returns when it is to end, and all is in the file."""
        poll = select.poll()
        for each in (self.ring, self.barriers, self._end):
            poll.register(each, select.POLLIN)
        ending = False
        while not ending:
            for ready, _ in poll.poll():
                if ready == self.barriers.fileno():
                    self.barriers.recv(1)
                ending = ending or ready == self._end
                if ready != self.ring.fileno():
                    # The barrier's packet, or the last, is in the ring, perhaps in a block that is not full.
                    self.ring.flush()
            while (packets := self.ring.take()) is not None:
                self._store(packets)
        self.store.close()

    def _store(self, packets: list[Packet]) -> None:
        """Makes them readable before anything else is done."""
        met: dict[int, Barrier] = {}
        for place, packet in enumerate(packets):
            # The protocol of IPv4: most packets are spared the closer look.
            if packet.data[23:24] == _UDP and (barrier := barrier_in(packet.data, CAPTURE_PORT)):
                met[place] = barrier
        self.store.write(packets, {place: _told(barrier) for place, barrier in met.items()})
        for barrier in met.values():
            answer(self.barriers, barrier, self._statistics())

    def _statistics(self) -> bytes:
        """The fields of model.history.CaptureStatistics."""
        return json.dumps(
            {
                "packets": self.store.packets,
                "dropped": self.ring.lost(),
                "interfaces": sorted(self.store.received),
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
    ring = Ring(socket.socket(fileno=3), CAPTURE)
    Capture(ring, Store(first, *keys, lost=ring.lost)).run()


if __name__ == "__main__":
    main()
