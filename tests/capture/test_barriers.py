"""Barriers are met in the packets, and answered to their sender."""

from __future__ import annotations

import socket
import threading

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from kubewitness.capture.barriers import CAPTURE_PORT, MARKER, OWNERS_PORT, Barrier, answer, ask, barrier_in


def frame(payload: bytes, port: int) -> bytes:
    return bytes(Ether() / IP(src="127.0.0.1", dst="127.0.0.1") / UDP(sport=4000, dport=port) / payload)


def test_a_barrier_is_recognised_by_port_and_payload() -> None:
    met = barrier_in(frame(MARKER + b"1:x", CAPTURE_PORT), CAPTURE_PORT)
    assert met == Barrier(MARKER + b"1:x", ("127.0.0.1", 4000))
    assert barrier_in(frame(MARKER + b"1:x", OWNERS_PORT), CAPTURE_PORT) is None
    assert barrier_in(frame(b"something else" * 3, CAPTURE_PORT), CAPTURE_PORT) is None


def test_a_barrier_behind_ip_options_is_recognised() -> None:
    packet = Ether() / IP(dst="127.0.0.1", options=b"\x01\x01\x01\x00") / UDP(dport=9) / (MARKER + b"2:y")
    met = barrier_in(bytes(packet), 9)
    assert met is not None
    assert met.payload == MARKER + b"2:y"


def test_tcp_is_no_barrier() -> None:
    packet = Ether() / IP(dst="127.0.0.1") / TCP(dport=9) / (MARKER + b"3:z")
    assert barrier_in(bytes(packet), 9) is None


def test_the_sender_gets_its_payload_and_what_is_told() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        bound.bind(("127.0.0.1", 0))
        sender.settimeout(5)
        sender.connect(bound.getsockname())
        answer(bound, Barrier(MARKER + b"4:", sender.getsockname()), b"{}")
        assert sender.recv(100) == MARKER + b"4:{}"


def test_an_answer_to_another_barrier_is_not_taken_for_this_ones() -> None:
    def answer_late(bound: socket.socket) -> None:
        payload, sender = bound.recvfrom(100)
        for each in (Barrier(MARKER + b"older:", sender), Barrier(payload, sender)):
            answer(bound, each, each.payload[-2:])

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=answer_late, args=(bound,))
        thread.start()
        assert ask("127.0.0.1", bound.getsockname()[1], "this", within_s=5) == b"is"
        thread.join()
