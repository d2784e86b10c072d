"""Sends frames at a rate: ``sender.py INTERFACE RATE COUNT BYTES``. Prints what it reached, per second.

Frames are UDP over IPv4 to port 4000 and numbered. They leave in batches, by
sendmmsg(2), as many as are due each millisecond. One that is late is not made
up for: a slow sender has a lower rate, not bursts of a higher one.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import time

TICK_S = 0.001
NUMBER_AT = 42
_HEADER = (
    bytes(6) + b"\x02\0\0\0\0\1" + b"\x08\x00"
    + b"\x45\0" + b"%b" + bytes(4) + b"\x40\x11\0\0" + b"\x0a\0\0\1" + b"\x0a\0\0\2"
    + b"\x0f\xa1\x0f\xa0" + b"%b" + bytes(2)
)  # fmt: skip


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """mmsghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint),
        ("vector", ctypes.POINTER(_Vector)), ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_uint),
    ]  # fmt: skip


def frame(size: int) -> bytes:
    total, payload = struct.pack("!H", size - 14), struct.pack("!H", size - 34)
    return (_HEADER % (total, payload)).ljust(size, b".")


def main() -> None:
    interface, rate, count, size = sys.argv[1], *map(int, sys.argv[2:])
    batch = max(1, min(512, round(rate * TICK_S)))
    pause_s = batch / rate
    buffer = ctypes.create_string_buffer(frame(size) * batch, size * batch)
    start = ctypes.addressof(buffer)
    vectors = [_Vector(start + place * size, size) for place in range(batch)]
    messages = (_Message * batch)(*(_Message(vector=ctypes.pointer(each), vectors=1) for each in vectors))
    places = range(NUMBER_AT, size * batch, size)
    send, number = ctypes.CDLL(None, use_errno=True).sendmmsg, 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((interface, 0))
        began = due = time.perf_counter()
        while number < count:
            for place in places:
                struct.pack_into("!I", buffer, place, number)
                number += 1
            if send(sock.fileno(), messages, batch, 0) != batch:
                raise OSError(ctypes.get_errno(), "not all frames were sent")
            due = max(due + pause_s, time.perf_counter() - pause_s)
            time.sleep(max(0.0, due - time.perf_counter()))
        took_s = time.perf_counter() - began
    print(number / took_s)


if __name__ == "__main__":
    main()
