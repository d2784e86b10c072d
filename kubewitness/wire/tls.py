"""The part of a TLS handshake that is in the clear: which version and cipher the server chose."""

from __future__ import annotations

from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards
from kubewitness.wire.witness import Witness

CLIENT_HELLO = b"\x16\x03"

_HANDSHAKE, _SERVER_HELLO, _SUPPORTED_VERSIONS = 22, 2, 43
_SHORTEST_HELLO, _LONGEST_HELLO = 38, 1 << 16
_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_CIPHERS = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}


class TlsConversation:
    """Reads up to the ServerHello and nothing behind it."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._seen = bytearray()
        self._done = False

    def data(self, towards: Towards, payload: bytes, _span: Span) -> None:
        if towards is Towards.SERVER or self._done:
            return
        self._seen += payload
        hello = server_hello(bytes(self._seen))
        if hello:
            self._witness.tls_version, self._witness.tls_cipher = hello
        if hello or len(self._seen) > _LONGEST_HELLO or self._seen[0] != _HANDSHAKE:
            self._done = True
            self._seen.clear()

    def end(self, towards: Towards) -> None:
        """The handshake, if any, has been read already."""


def server_hello(records: bytes) -> tuple[str, str] | None:
    """Version and cipher from the server's first records; None while the ServerHello is incomplete."""
    handshake, at = bytearray(), 0
    while at + 5 <= len(records) and records[at] == _HANDSHAKE:
        length = int.from_bytes(records[at + 3 : at + 5], "big")
        handshake += records[at + 5 : at + 5 + length]
        at += 5 + length
    length = int.from_bytes(handshake[1:4], "big")
    if len(handshake) < 4 + length or length < _SHORTEST_HELLO or handshake[0] != _SERVER_HELLO:
        return None
    body = bytes(handshake[4 : 4 + length])
    version = int.from_bytes(body[:2], "big")
    at = 35 + body[34]  # behind version, random and session id
    cipher = int.from_bytes(body[at : at + 2], "big")
    at += 5  # behind cipher, compression and the extensions' length
    while at + 4 <= len(body):
        kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        if kind == _SUPPORTED_VERSIONS:
            version = int.from_bytes(body[at + 4 : at + 6], "big")
        at += 4 + size
    return _VERSIONS.get(version, f"0x{version:04x}"), _CIPHERS.get(cipher, f"0x{cipher:04x}")
