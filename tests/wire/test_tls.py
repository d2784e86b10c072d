from __future__ import annotations

import struct

import pytest

from tests.wire.traffic import Talk, history


def record(handshake: bytes, size: int = 2**14) -> bytes:
    parts = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x03" + struct.pack("!H", len(part)) + part for part in parts)


def server_hello(cipher: int, extensions: bytes, version: int = 0x0303, session: bytes = b"s" * 32) -> bytes:
    body = struct.pack("!H32sB", version, b"r" * 32, len(session)) + session
    body += struct.pack("!HBH", cipher, 0, len(extensions)) + extensions
    return b"\x02" + len(body).to_bytes(3, "big") + body


CLIENT_HELLO = record(b"\x01\x00\x00\x26" + b"\x03\x03" + b"c" * 36)
TLS13 = struct.pack("!HHH", 51, 2, 0) + struct.pack("!HHH", 43, 2, 0x0304)


@pytest.mark.parametrize(
    ("hello", "version", "cipher"),
    [
        (server_hello(0x1301, TLS13), "TLS 1.3", "TLS_AES_128_GCM_SHA256"),
        (server_hello(0xC02F, b""), "TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (server_hello(0xC02B, b"", session=b""), "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (server_hello(0x9999, b""), "TLS 1.2", "0x9999"),
    ],
    ids=["1.3", "1.2", "no-session", "unknown-cipher"],
)
@pytest.mark.parametrize("size", [7, 2**14])
def test_version_and_cipher_are_what_the_server_chose(
    hello: bytes, version: str, cipher: str, size: int
) -> None:
    talk = Talk(port=6443)
    packets = talk.open() + talk.ask(CLIENT_HELLO, [1, 3]) + talk.answer(record(hello, size), [5, 40])
    packets += talk.answer(b"\x17\x03\x03\x00\x05POST ") + talk.ask(b"\x17\x03\x03\x00\x04GET ")
    found = history(packets)
    (connection,) = found.connections
    assert (connection.protocol, connection.tls_version, connection.tls_cipher) == ("tls", version, cipher)
    assert connection.complete
    assert (found.observations, found.missing) == ((), ())


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x03\x00\x02\x02\x28",
        record(b"\x02\x00\x00\x02\x03\x03" + bytes(60)),
        b"HTTP/1.0 400 Bad\r\n\r\n",
    ],
    ids=["alert", "short-hello", "plain"],
)
def test_a_handshake_that_fails_has_no_version(answer: bytes) -> None:
    talk = Talk(port=6443)
    (connection,) = history(talk.open() + talk.ask(CLIENT_HELLO) + talk.answer(answer)).connections
    assert (connection.protocol, connection.tls_version) == ("tls", "")


def test_tls_on_a_port_of_the_api_server_is_not_missing() -> None:
    talk = Talk()
    found = history(talk.open() + talk.ask(CLIENT_HELLO) + talk.answer(record(server_hello(0x1301, TLS13))))
    assert found.missing == ()
