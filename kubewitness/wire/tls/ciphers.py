"""From secrets to plaintext: key derivation and records of TLS 1.2 (RFC 5246) and 1.3 (RFC 8446)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from kubewitness.wire.errors import DecodeError

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS_1_2: "TLS 1.2", TLS_1_3: "TLS 1.3"}
MASTER_SECRET = "CLIENT_RANDOM"  # noqa: S105 - a label
APPLICATION_DATA = 23

_NONCE_BYTES = 12
_TAG_BYTES = 16
_BLOCK_BYTES = 16
_MAC_KEY_BYTES = 20


class Suite(NamedTuple):
    """``hash`` is that of the key derivation. ``kind`` is gcm, chacha or cbc (with HMAC-SHA1)."""

    name: str
    kind: str
    key_bytes: int
    hash: str


SUITES = {
    0x1301: Suite("TLS_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
    0x1302: Suite("TLS_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
    0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
    0x009C: Suite("TLS_RSA_WITH_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
    0x009D: Suite("TLS_RSA_WITH_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
    0x002F: Suite("TLS_RSA_WITH_AES_128_CBC_SHA", "cbc", 16, "sha256"),
    0x0035: Suite("TLS_RSA_WITH_AES_256_CBC_SHA", "cbc", 32, "sha256"),
    0xC009: Suite("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "cbc", 16, "sha256"),
    0xC00A: Suite("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "cbc", 32, "sha256"),
    0xC013: Suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "cbc", 16, "sha256"),
    0xC014: Suite("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "cbc", 32, "sha256"),
    0xC02B: Suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
    0xC02C: Suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
    0xC02F: Suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
    0xC030: Suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
    0xCCA8: Suite("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
    0xCCA9: Suite("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
}


class Opener(Protocol):
    """Opens the records of one direction, each in its turn."""

    def open(self, header: bytes, payload: bytes) -> tuple[int, bytes]:
        """The content's type and the content of a record, given as its five-byte header and what follows."""


class Opener13:
    """TLS 1.3: from a traffic secret, and from those that follow it."""

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._suite = suite
        self._use(secret)

    def update(self) -> None:
        """The direction's sender has announced its next secret (RFC 8446, 7.2)."""
        self._use(_expand_label(self._suite, self._secret, b"traffic upd", len(self._secret)))

    def open(self, header: bytes, payload: bytes) -> tuple[int, bytes]:
        nonce = _exclusive_or(self._iv, self._records.to_bytes(_NONCE_BYTES, "big"))
        self._records += 1
        content = _decrypted(self._cipher, nonce, payload, header).rstrip(b"\0")
        if not content:
            raise DecodeError("a TLS record has no type")
        return content[-1], content[:-1]

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = _cipher(self._suite, _expand_label(self._suite, secret, b"key", self._suite.key_bytes))
        self._iv = _expand_label(self._suite, secret, b"iv", _NONCE_BYTES)
        self._records = 0


class AeadOpener12:
    """TLS 1.2 with authenticated encryption (RFC 5288, RFC 7905)."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._cipher, self._iv = _cipher(suite, key), iv
        self._explicit = _NONCE_BYTES - len(iv)
        self._records = 0

    def open(self, header: bytes, payload: bytes) -> tuple[int, bytes]:
        number = self._records.to_bytes(8, "big")
        self._records += 1
        if self._explicit:
            nonce, payload = self._iv + payload[: self._explicit], payload[self._explicit :]
        else:
            nonce = _exclusive_or(self._iv, number.rjust(_NONCE_BYTES, b"\0"))
        length = max(0, len(payload) - _TAG_BYTES).to_bytes(2, "big")
        return header[0], _decrypted(self._cipher, nonce, payload, number + header[:3] + length)


class CbcOpener12:
    """TLS 1.2 with block ciphers and HMAC-SHA1, of the ciphertext if ``authenticated_last`` (RFC 7366)."""

    def __init__(self, key: bytes, mac_key: bytes, *, authenticated_last: bool) -> None:
        self._key, self._mac_key, self._authenticated_last = key, mac_key, authenticated_last
        self._records = 0

    def open(self, header: bytes, payload: bytes) -> tuple[int, bytes]:
        number = self._records.to_bytes(8, "big")
        self._records += 1
        mac = b""
        if self._authenticated_last:
            payload, mac = payload[:-_MAC_KEY_BYTES], payload[-_MAC_KEY_BYTES:]
            self._check(number + header[:3], payload, mac)
        iv, payload = payload[:_BLOCK_BYTES], payload[_BLOCK_BYTES:]
        if not payload or len(payload) % _BLOCK_BYTES:
            raise DecodeError(f"a TLS record of {len(payload)} bytes is no whole number of blocks")
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).decryptor()
        content = decryptor.update(payload)
        content = content[: -content[-1] - 1]
        if not self._authenticated_last:
            content, mac = content[:-_MAC_KEY_BYTES], content[-_MAC_KEY_BYTES:]
            self._check(number + header[:3], content, mac)
        return header[0], content

    def _check(self, prefix: bytes, content: bytes, mac: bytes) -> None:
        authentic = prefix + len(content).to_bytes(2, "big") + content
        if not hmac.compare_digest(mac, hmac.digest(self._mac_key, authentic, "sha1")):
            raise DecodeError("a TLS record cannot be decrypted with the key log's secret")


class Pair(NamedTuple):
    """What opens each direction."""

    client: Opener
    server: Opener


def openers_1_3(suite: Suite, secrets: Mapping[str, bytes], stage: str) -> Pair | None:
    """``stage`` is HANDSHAKE_TRAFFIC_SECRET or TRAFFIC_SECRET_0. None if a secret is not known."""
    client, server = (secrets.get(f"{end}_{stage}") for end in ("CLIENT", "SERVER"))
    if client is None or server is None:
        return None
    return Pair(Opener13(suite, client), Opener13(suite, server))


def openers_1_2(
    suite: Suite, master: bytes, client_random: bytes, server_random: bytes, *, authenticated_last: bool
) -> Pair:
    """From the master secret (RFC 5246, 6.3)."""
    mac = _MAC_KEY_BYTES if suite.kind == "cbc" else 0
    iv = {"gcm": 4, "chacha": _NONCE_BYTES, "cbc": 0}[suite.kind]
    sizes = (mac, mac, suite.key_bytes, suite.key_bytes, iv, iv)
    block, parts = _pseudorandom(suite, master, server_random + client_random, sum(sizes)), []
    for size in sizes:
        parts.append(block[:size])
        block = block[size:]

    def opener(end: int) -> Opener:
        if mac:
            return CbcOpener12(parts[2 + end], parts[end], authenticated_last=authenticated_last)
        return AeadOpener12(suite, parts[2 + end], parts[4 + end])

    return Pair(opener(0), opener(1))


def _pseudorandom(suite: Suite, secret: bytes, seed: bytes, count: int) -> bytes:
    """The PRF for key expansion (RFC 5246, 5)."""
    seed = b"key expansion" + seed
    found, link = b"", seed
    while len(found) < count:
        link = hmac.digest(secret, link, suite.hash)
        found += hmac.digest(secret, link + seed, suite.hash)
    return found[:count]


def _expand_label(suite: Suite, secret: bytes, label: bytes, count: int) -> bytes:
    """HKDF-Expand-Label without a context, of at most one hash (RFC 8446, 7.1)."""
    label = b"tls13 " + label
    info = count.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return hmac.digest(secret, info + b"\x01", suite.hash)[:count]


def _cipher(suite: Suite, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return AESGCM(key) if suite.kind == "gcm" else ChaCha20Poly1305(key)


def _decrypted(cipher: AESGCM | ChaCha20Poly1305, nonce: bytes, payload: bytes, header: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, payload, header)
    except (InvalidTag, ValueError) as error:
        raise DecodeError("a TLS record cannot be decrypted with the key log's secret") from error


def _exclusive_or(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
