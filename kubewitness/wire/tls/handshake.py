"""Handshake messages that tell an onlooker something (RFC 8446, 4; RFC 5246, 7.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.tls.ciphers import TLS_1_3

CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS = 1, 2, 4, 8
CERTIFICATE, FINISHED, KEY_UPDATE = 11, 20, 24

_SERVER_NAME, _ALPN, _ENCRYPT_THEN_MAC, _SESSION_TICKET = 0, 16, 22, 35
_PRE_SHARED_KEY, _SUPPORTED_VERSIONS = 41, 43
_HELLO_RETRY_REQUEST = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_LARGEST = 1 << 18  # a chain of certificates, generously


class _Fields:
    """Reads a message from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise DecodeError(f"a TLS handshake message of {len(self._data)} bytes is cut off")
        self._at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def vector(self, size: int) -> bytes:
        """Bytes behind their length, which takes ``size`` bytes itself."""
        return self.take(self.number(size))

    def extensions(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        inside = _Fields(self.vector(2) if self else b"")
        while inside:
            kind = inside.number(2)
            found[kind] = inside.vector(2)
        return found


class Messages:
    """Handshake messages out of the records of one direction."""

    def __init__(self) -> None:
        self._data = bytearray()

    def append(self, content: bytes) -> None:
        self._data += content

    def next(self) -> tuple[int, bytes] | None:
        """The type and the body of the next message that is complete."""
        if len(self._data) < 4:
            return None
        end = 4 + int.from_bytes(self._data[1:4], "big")
        if end > _LARGEST:
            raise DecodeError(f"a TLS handshake message of {end} bytes is not believed")
        if len(self._data) < end:
            return None
        kind, body = self._data[0], bytes(self._data[4:end])
        del self._data[:end]
        return kind, body


@dataclass(frozen=True, slots=True)
class ClientHello:
    random: bytes
    server_name: str
    ticket: bytes

    @classmethod
    def parse(cls, body: bytes) -> ClientHello:
        fields = _Fields(body)
        fields.take(2)
        random = fields.take(32)
        fields.vector(1)  # the session id, which a server that resumes it repeats
        fields.vector(2)
        fields.vector(1)
        extensions = fields.extensions()
        # A list of names, each behind its type; no type but host_name was ever defined (RFC 6066, 3).
        name = extensions.get(_SERVER_NAME, b"")[5:].decode("ascii", "replace")
        return cls(random, name, extensions.get(_SESSION_TICKET, b""))


@dataclass(frozen=True, slots=True)
class ServerHello:
    version: int
    random: bytes
    session: bytes
    cipher: int
    extensions: dict[int, bytes] = field(repr=False)

    @classmethod
    def parse(cls, body: bytes) -> ServerHello:
        fields = _Fields(body)
        version, random, session, cipher = (
            fields.number(2),
            fields.take(32),
            fields.vector(1),
            fields.number(2),
        )
        fields.take(1)
        extensions = fields.extensions()
        if _SUPPORTED_VERSIONS in extensions:
            version = int.from_bytes(extensions[_SUPPORTED_VERSIONS], "big")
        return cls(version, random, session, cipher, extensions)

    @property
    def retries(self) -> bool:
        """It only asks for another ClientHello."""
        return self.random == _HELLO_RETRY_REQUEST

    @property
    def resumes(self) -> bool:
        """In TLS 1.3 the server says so; in TLS 1.2 by what it leaves out."""
        return _PRE_SHARED_KEY in self.extensions

    @property
    def authenticated_last(self) -> bool:
        return _ENCRYPT_THEN_MAC in self.extensions


def alpn(extensions: dict[int, bytes]) -> str:
    """The protocol that the server chose."""
    return extensions.get(_ALPN, b"")[3:].decode("ascii", "replace")


def encrypted_extensions(body: bytes) -> dict[int, bytes]:
    return _Fields(body).extensions()


def ticket(body: bytes) -> bytes:
    """That of TLS 1.2's NewSessionTicket."""
    fields = _Fields(body)
    fields.take(4)
    return fields.vector(2)


def subject(body: bytes, version: int) -> str:
    """Whose the first certificate of a Certificate message is (RFC 4514); "" if there is none."""
    fields = _Fields(body)
    if version == TLS_1_3:
        fields.vector(1)
    chain = _Fields(fields.vector(3))
    if not chain:
        return ""
    try:
        return x509.load_der_x509_certificate(chain.vector(3)).subject.rfc4514_string()
    except ValueError as error:
        raise DecodeError(f"a certificate in a TLS handshake cannot be read: {error}") from error
