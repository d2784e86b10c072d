"""Barriers are met in the packets, and answered to their sender."""

from __future__ import annotations

import socket
import threading

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from kubewitness.capture.barriers import CAPTURE_PORT, MARKER, OWNERS_PORT, answer, marker


def frame(payload: bytes, port: int) -> bytes:
    return bytes(Ether() / IP(src="127.0.0.1", dst="127.0.0.1") / UDP(sport=4000, dport=port) / payload)


def test_a_barrier_is_recognised_by_port_and_payload() -> None:
    assert marker(frame(MARKER + b"1:x", CAPTURE_PORT), CAPTURE_PORT) == MARKER + b"1:x"
    assert marker(frame(MARKER + b"1:x", OWNERS_PORT), CAPTURE_PORT) is None
    assert marker(frame(b"something else" * 3, CAPTURE_PORT), CAPTURE_PORT) is None


def test_a_barrier_behind_ip_options_is_recognised() -> None:
    packet = Ether() / IP(dst="127.0.0.1", options=b"\x01\x01\x01\x00") / UDP(dport=9) / (MARKER + b"2:y")
    assert marker(bytes(packet), 9) == MARKER + b"2:y"


def test_tcp_is_no_barrier() -> None:
    packet = Ether() / IP(dst="127.0.0.1") / TCP(dport=9) / (MARKER + b"3:z")
    assert marker(bytes(packet), 9) is None


def test_the_sender_gets_its_payload_and_what_is_told() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        bound.bind(("127.0.0.1", 0))
        sender.settimeout(5)
        sender.connect(bound.getsockname())
        sender.send(MARKER + b"4:")
        thread = threading.Thread(target=answer, args=(bound, MARKER + b"4:", b"{}"))
        thread.start()
        assert sender.recv(100) == MARKER + b"4:{}"
        thread.join()
