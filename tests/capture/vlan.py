"""Prints, in hexadecimal, what a ring gives of a frame with a VLAN tag: from the tag on."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing

from kubewitness.capture.ring import LIVE, Ring, listen

LINKS = ["link add v0 type veth peer name v1", "link set v0 up", "link set v1 up"]
FRAME = bytes(6) + b"\x02\0\0\0\0\1" + b"\x81\x00\x00\x07\x88\xb6tagged"


def main() -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(LINKS), text=True, check=True)
    with (
        closing(Ring(listen("v1", LIVE), LIVE)) as ring,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
    ):
        sock.bind(("v0", 0))
        sock.send(FRAME)
        while True:
            ring.wait()
            for packet in ring.take() or []:
                if packet.data.endswith(b"tagged"):
                    print(packet.data[12:].hex())
                    return


if __name__ == "__main__":
    main()
