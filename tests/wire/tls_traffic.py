"""Real TLS between two ends of OpenSSL's, in memory: what each says, and the secrets that they wrote down."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubewitness.wire.tls import KeyLog
from tests.wire.traffic import Talk

SERVER_NAME, CLIENT_NAME = "kubernetes", "system:node:node1"


@cache
def certificate(directory: Path, name: str) -> Path:
    """A key and a certificate that signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@dataclass
class Ends:
    """Contexts of both ends, from which any number of connections can be made."""

    directory: Path
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str = ""
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    mutual: bool = True
    client: ssl.SSLContext = field(init=False)
    server: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        server, client = (certificate(self.directory, name) for name in (SERVER_NAME, CLIENT_NAME))
        self.client, self.server = (
            ssl.SSLContext(each) for each in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)
        )
        self.server.load_cert_chain(server)
        self.server.load_verify_locations(client)
        self.server.keylog_filename = str(self.log)
        self.server.verify_mode = ssl.CERT_REQUIRED if self.mutual else ssl.CERT_NONE
        self.client.load_verify_locations(server)
        if self.mutual:
            self.client.load_cert_chain(client)
        for context in (self.client, self.server):
            context.minimum_version = context.maximum_version = self.version
            context.set_alpn_protocols(list(self.alpn))
            if self.ciphers:
                context.set_ciphers(self.ciphers)

    @property
    def log(self) -> Path:
        return self.directory / "keys.log"

    def keys(self) -> KeyLog:
        keys = KeyLog()
        keys.learn(self.log.read_text())
        return keys

    def connect(self, talk: Talk, session: ssl.SSLSession | None = None) -> Connection:
        return Connection(self, talk, session)


class Connection:
    """One connection. ``packets`` grows by what its ends say."""

    def __init__(self, ends: Ends, talk: Talk, session: ssl.SSLSession | None) -> None:
        self.talk = talk
        self.packets = talk.open()
        self._to_client, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = ends.client.wrap_bio(
            self._to_client, self._to_server_out(), server_hostname=SERVER_NAME, session=session
        )
        self.server = ends.server.wrap_bio(self._to_server, self._to_client_out(), server_side=True)
        self._shake_hands()

    def _to_server_out(self) -> ssl.MemoryBIO:
        self._from_client = ssl.MemoryBIO()
        return self._from_client

    def _to_client_out(self) -> ssl.MemoryBIO:
        self._from_server = ssl.MemoryBIO()
        return self._from_server

    def _shake_hands(self) -> None:
        waiting = [self.client, self.server]
        while waiting:
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except ssl.SSLWantReadError:
                    pass
                self._carry()

    def _carry(self) -> None:
        """Takes to each end what the other one has said."""
        for to_server, out, into in (
            (True, self._from_client, self._to_server),
            (False, self._from_server, self._to_client),
        ):
            if said := out.read():
                self.packets += self.talk.say(said, to_server=to_server, cuts=range(0, len(said), 1000))
                into.write(said)

    def say(self, payload: bytes, *, to_server: bool) -> None:
        speaker, listener = (self.client, self.server) if to_server else (self.server, self.client)
        speaker.write(payload)
        self._carry()
        heard = b""
        while len(heard) < len(payload):
            heard += listener.read(len(payload))
        assert heard == payload
