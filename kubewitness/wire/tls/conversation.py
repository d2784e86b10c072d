"""A TLS connection: its handshake and, with its secrets, what is said under it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol

from kubewitness.model.observation import Tls
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.spans import Span, SpanBuffer
from kubewitness.wire.tls import ciphers, handshake
from kubewitness.wire.tls.ciphers import Opener, Opener13, Pair
from kubewitness.wire.tls.keylog import KeyLog
from kubewitness.wire.towards import Towards

#: How a record of a handshake begins.
CLIENT_HELLO = b"\x16\x03"

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, ciphers.APPLICATION_DATA
_HEADER = 5
_LARGEST_RECORD = (1 << 14) + 2048  # TLS 1.2 allows a ciphertext that much over the plaintext
#: Bytes kept of a connection while its secrets are awaited: an end may write them down only when it has them.
_LARGEST_HELD = 1 << 18


class Inner(Protocol):
    """Who reads what is said under TLS."""

    def data(self, towards: Towards, payload: bytes, span: Span, /) -> None: ...

    def end(self, towards: Towards, /) -> None: ...


class _Side:
    """What one end sends."""

    def __init__(self) -> None:
        self.buffer = SpanBuffer()
        self.messages = handshake.Messages()
        self.opener: Opener | None = None  # of what comes next; None: it is in the clear
        self.following: Opener | None = None  # once the end changes to it


class _Held(NamedTuple):
    towards: Towards
    record: bytes
    span: Span


class TlsConversation:
    """``keys``: where the secrets may be; None reads no further than the clear part."""

    def __init__(self, keys: KeyLog | None, inner: Inner) -> None:
        self.tls = Tls()
        self._keys = keys
        self._inner = inner
        self._client, self._server = _Side(), _Side()
        self._asked: handshake.ClientHello | None = None
        self._chosen: handshake.ServerHello | None = None
        self._certified = False
        self._opened = False  # the secrets are known
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._over = False

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._over:
            return
        side = self._side(towards)
        side.buffer.append(payload, span)
        while len(side.buffer) >= _HEADER and not self._over:
            head = side.buffer.peek(_HEADER)
            length = int.from_bytes(head[3:], "big")
            if not (_CHANGE_CIPHER_SPEC <= head[0] <= _APPLICATION_DATA and length <= _LARGEST_RECORD):
                self._garbled(head)
                return
            if len(side.buffer) < _HEADER + length:
                return
            self._take(_Held(towards, *side.buffer.take(_HEADER + length)))

    def end(self, towards: Towards) -> None:
        if self._held:
            self._give_up()
        if self._opened:
            self._inner.end(towards)

    def _side(self, towards: Towards) -> _Side:
        return self._client if towards is Towards.SERVER else self._server

    def _garbled(self, head: bytes) -> None:
        """Before a handshake is complete this is its failure: a server of plain HTTP answers so."""
        if self._opened:
            raise DecodeError(f"wanted a TLS record, found {head!r}")
        self._give_up("its handshake failed")

    def _give_up(self, why: str = "") -> None:
        self._over = True
        self.tls = replace(self.tls, why_closed=why or self.tls.why_closed)
        self._held.clear()
        for side in (self._client, self._server):
            side.buffer.clear()

    def _take(self, given: _Held) -> None:
        if given.record[0] == _CHANGE_CIPHER_SPEC and given.towards is Towards.CLIENT and self._is_1_2:
            # A server that resumes a session has shown no certificate by then.
            self.tls = replace(self.tls, resumed=not self._certified)
        if self._waits(given):
            self._hold(given)
        else:
            self._record(given)
        if self._held and self._chosen is not None:
            self._release()

    def _waits(self, given: _Held) -> bool:
        """Whether secrets are needed for a record, or for one before it. A capture may have it too early."""
        if self._opened:
            return False
        if any(each.towards is given.towards for each in self._held):
            return True
        kind = given.record[0]
        if self._chosen is None:
            return kind in (_CHANGE_CIPHER_SPEC, _APPLICATION_DATA)
        if self._chosen.version not in ciphers.VERSIONS:
            return False
        return kind == (_APPLICATION_DATA if self._chosen.version == ciphers.TLS_1_3 else _CHANGE_CIPHER_SPEC)

    def _hold(self, given: _Held) -> None:
        self._held.append(given)
        self._held_bytes += len(given.record)
        if self._held_bytes > _LARGEST_HELD:
            self._give_up()

    def _release(self) -> None:
        if self._keys is None:
            self._give_up("no key log is at hand")
        elif self._find_secrets():
            held, self._held = self._held, []
            for each in held:
                self._record(each)

    def _find_secrets(self) -> bool:
        """Prepares both directions, if their secrets are known and their cipher is one that is read here."""
        asked, chosen = self._asked, self._chosen
        assert chosen is not None
        suite = ciphers.SUITES.get(chosen.cipher)
        if self._keys is None or asked is None or suite is None:
            return False
        secrets = self._keys.of(asked.random)
        if chosen.version == ciphers.TLS_1_3:
            first = ciphers.openers_1_3(suite, secrets, "HANDSHAKE_TRAFFIC_SECRET")
            following = ciphers.openers_1_3(suite, secrets, "TRAFFIC_SECRET_0")
            if first is None or following is None:
                return False
            self._client.opener, self._server.opener = first
            self._client.following, self._server.following = following
        elif chosen.version == ciphers.TLS_1_2:
            pair = self._openers_1_2(suite, secrets.get(ciphers.MASTER_SECRET), asked, chosen)
            if pair is None:
                return False
            self._client.following, self._server.following = pair
        else:
            return False
        self._opened = True
        self.tls = replace(self.tls, why_closed="")
        return True

    def _openers_1_2(
        self,
        suite: ciphers.Suite,
        master: bytes | None,
        asked: handshake.ClientHello,
        chosen: handshake.ServerHello,
    ) -> Pair | None:
        assert self._keys is not None
        sessions = self._keys.sessions
        master = master or sessions.get(asked.ticket) or sessions.get(chosen.session)
        if master is None:
            return None
        if chosen.session:
            sessions[chosen.session] = master
        return ciphers.openers_1_2(
            suite, master, asked.random, chosen.random, authenticated_last=chosen.authenticated_last
        )

    def _record(self, given: _Held) -> None:
        towards, record, span = given
        side = self._side(towards)
        header, content = record[:_HEADER], record[_HEADER:]
        kind = header[0]
        old = self._chosen is None or self._chosen.version != ciphers.TLS_1_3
        if kind == _CHANGE_CIPHER_SPEC:  # of no meaning in TLS 1.3
            if old:
                side.opener, side.following = side.following, None
            return
        if side.opener is not None and (old or kind == _APPLICATION_DATA):
            kind, content = side.opener.open(header, content)
        if kind == _APPLICATION_DATA and side.opener is not None:
            self._inner.data(towards, content, span)
        elif kind == _HANDSHAKE:
            side.messages.append(content)
            while (message := side.messages.next()) is not None:
                self._message(towards, *message)

    def _message(self, towards: Towards, kind: int, body: bytes) -> None:
        try:
            self._told(towards, kind, body)
        except DecodeError:
            if self._opened:
                raise
            self._give_up("its handshake failed")

    def _told(self, towards: Towards, kind: int, body: bytes) -> None:
        side = self._side(towards)
        if kind == handshake.CLIENT_HELLO:
            self._asked = handshake.ClientHello.parse(body)
            self.tls = replace(self.tls, server_name=self._asked.server_name)
        elif kind == handshake.SERVER_HELLO:
            self._choose(handshake.ServerHello.parse(body))
        elif kind == handshake.ENCRYPTED_EXTENSIONS:
            self.tls = replace(self.tls, alpn=handshake.alpn(handshake.encrypted_extensions(body)))
        elif kind == handshake.CERTIFICATE and self._chosen is not None:
            self._certify(towards, handshake.subject(body, self._chosen.version))
        elif kind == handshake.FINISHED and self._chosen and self._chosen.version == ciphers.TLS_1_3:
            side.opener, side.following = side.following, None
        elif kind == handshake.KEY_UPDATE and isinstance(side.opener, Opener13):
            side.opener.update()
        elif kind == handshake.NEW_SESSION_TICKET and self._keys and self._asked and self._is_1_2:
            master = self._keys.of(self._asked.random).get(ciphers.MASTER_SECRET)
            if master:
                self._keys.sessions[handshake.ticket(body)] = master

    @property
    def _is_1_2(self) -> bool:
        return self._chosen is not None and self._chosen.version == ciphers.TLS_1_2

    def _choose(self, chosen: handshake.ServerHello) -> None:
        if chosen.retries:
            return
        self._chosen = chosen
        suite = ciphers.SUITES.get(chosen.cipher)
        self.tls = replace(
            self.tls,
            version=ciphers.VERSIONS.get(chosen.version, f"0x{chosen.version:04x}"),
            cipher=suite.name if suite else f"0x{chosen.cipher:04x}",
            alpn=handshake.alpn(chosen.extensions),
            resumed=chosen.resumes,
            why_closed="its secrets are not in the key log" if suite else "its cipher is not read here",
        )

    def _certify(self, towards: Towards, subject: str) -> None:
        if towards is Towards.CLIENT:
            self._certified = True
            self.tls = replace(self.tls, server_certificate=subject)
        else:
            self.tls = replace(self.tls, client_certificate=subject)
