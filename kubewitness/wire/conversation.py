"""A connection's protocol, told from its first bytes, and the decoder that fits it."""

from __future__ import annotations

from typing import Protocol

from kubewitness.model.observation import Connection
from kubewitness.wire.api import ApiConversation
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.etcd import EtcdConversation
from kubewitness.wire.http1 import METHODS
from kubewitness.wire.http2 import PREFACE, Http2Conversation
from kubewitness.wire.spans import Span
from kubewitness.wire.tls import CLIENT_HELLO, TlsConversation
from kubewitness.wire.towards import Towards
from kubewitness.wire.witness import Witness

_STARTS = {CLIENT_HELLO: "tls", PREFACE: "h2"} | {f"{m} ".encode(): "http/1.1" for m in METHODS}
#: A server that says this much before its client says anything speaks none of the protocols known here.
_LONGEST_GREETING = 1 << 16


class Handler(Protocol):
    def data(self, towards: Towards, payload: bytes, span: Span, /) -> None: ...

    def end(self, towards: Towards) -> None: ...


class Conversation:
    """Reads one connection. ``serves`` is what its server is expected to be: api, etcd or nothing."""

    def __init__(self, witness: Witness, serves: str) -> None:
        self.witness = witness
        self.serves = serves
        self.failure = ""
        self._handler: Handler | None = None
        self._early: list[tuple[Towards, bytes, Span]] = []
        self._start = b""
        self._greeting = 0

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._handler is not None:
            self._pass_on(towards, payload, span)
        elif self.witness.protocol == "empty" and not self.failure:
            self._sniff(towards, payload, span)

    def end(self, towards: Towards) -> None:
        if self._early and towards is Towards.SERVER:
            self._decide("unknown")
        if self._handler is not None:
            try:
                self._handler.end(towards)
            except DecodeError as error:
                self._fail(str(error))

    def abort(self) -> None:
        self._handler = None
        self._early.clear()

    def missing(self) -> str:
        """Why something of this connection may be absent from the history; ``""`` if nothing is."""
        if not self.serves:
            return ""
        if gap := self.witness.flow.hole() or self.failure:
            return gap
        if self.witness.protocol == "unknown" or (self.serves, self.witness.protocol) == ("api", "h2"):
            return f"its protocol ({self.witness.protocol}) is not decoded on a port of {self.serves}"
        return ""

    def connection(self) -> Connection:
        flow, witness = self.witness.flow, self.witness
        why = flow.hole() or self.failure
        client, server = witness.speakers()
        spoken = flow.to_server.count or flow.to_client.count
        return Connection(
            number=flow.number,
            client=flow.client,
            server=flow.server,
            client_process=client,
            server_process=server,
            first_frame=flow.first_frame,
            last_frame=flow.last_frame,
            opened_ns=flow.opened_ns,
            protocol="unknown" if spoken and witness.protocol == "empty" else witness.protocol,
            syn_seen=flow.syn_seen,
            complete=not why,
            why_incomplete=why,
            tls_version=witness.tls_version,
            tls_cipher=witness.tls_cipher,
            bytes_to_server=flow.to_server.count,
            bytes_to_client=flow.to_client.count,
        )

    def _sniff(self, towards: Towards, payload: bytes, span: Span) -> None:
        self._early.append((towards, payload, span))
        if towards is Towards.SERVER:
            self._start += payload[: len(PREFACE) - len(self._start)]
            for start, protocol in _STARTS.items():
                if self._start.startswith(start):
                    self._decide(protocol)
                    return
            if not any(start.startswith(self._start) for start in _STARTS):
                self._decide("unknown")
        else:
            self._greeting += len(payload)
            if self._greeting > _LONGEST_GREETING:
                self._decide("unknown")

    def _decide(self, protocol: str) -> None:
        self.witness.protocol = protocol
        if protocol == "tls":
            self._handler = TlsConversation(self.witness)
        elif (protocol, self.serves) == ("http/1.1", "api"):
            self._handler = ApiConversation(self.witness)
        elif (protocol, self.serves) == ("h2", "etcd"):
            self._handler = Http2Conversation(EtcdConversation(self.witness))
        early, self._early = self._early, []
        for towards, payload, span in early:
            if self._handler is not None:
                self._pass_on(towards, payload, span)

    def _pass_on(self, towards: Towards, payload: bytes, span: Span) -> None:
        try:
            if self._handler is not None:
                self._handler.data(towards, payload, span)
        except DecodeError as error:
            self._fail(str(error))
            self.witness.undecoded(towards, span, 0, str(error))

    def _fail(self, why: str) -> None:
        self.failure = why
        self._handler = None
