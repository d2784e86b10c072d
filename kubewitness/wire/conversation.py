"""One connection, read as what it turns out to be."""

from __future__ import annotations

from dataclasses import replace

from kubewitness.model.observation import Connection
from kubewitness.wire.api import ApiMessages, ApiStreams
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.etcd import EtcdConversation
from kubewitness.wire.http1 import Http1Conversation
from kubewitness.wire.http2 import Http2Conversation, Streams
from kubewitness.wire.opening import Handler, Opening
from kubewitness.wire.spans import Span
from kubewitness.wire.streams import ApiOrEtcd
from kubewitness.wire.tls import KeyLog, TlsConversation
from kubewitness.wire.towards import Towards
from kubewitness.wire.witness import Witness, claimant

API, ETCD, EITHER = "api", "etcd", "api or etcd"


class Conversation:
    """``serves`` is what its server is expected to be: API, ETCD, EITHER or ``""``, nothing to decode."""

    def __init__(self, witness: Witness, serves: str, keys: KeyLog | None) -> None:
        self.witness = witness
        self.serves = serves
        self.failure = ""
        self._keys = keys if serves else None
        self._tls: TlsConversation | None = None
        self._opening: Opening | None = Opening(self._handler_of)
        self._inside: Opening | None = None
        self._protocol = ""

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._opening is None:
            return
        try:
            self._opening.data(towards, payload, span)
        except DecodeError as error:
            self._fail(str(error))
            self.witness.undecoded(towards, span, 0, str(error))

    def end(self, towards: Towards) -> None:
        if self._opening is None:
            return
        try:
            self._opening.end(towards)
        except DecodeError as error:
            self._fail(str(error))

    def abort(self) -> None:
        self._opening = None

    def missing(self) -> str:
        """Why something of this connection may be absent from the history; ``""`` if nothing is."""
        if not self.serves:
            return ""
        if gap := self.witness.flow.hole() or self.failure:
            return gap
        tls = self._tls.tls if self._tls else None
        if tls and self._keys is not None and tls.version and tls.why_closed:
            return f"what it said under TLS is not decoded: {tls.why_closed}"
        for protocol in (self._protocol, self._inside.protocol if self._inside else ""):
            if protocol == "unknown" and self.serves != EITHER:
                return f"its protocol ({protocol}) is not decoded on a port of {self.serves}"
        return ""

    def connection(self) -> Connection:
        flow = self.witness.flow
        why = flow.hole() or self.failure
        client, server = self.witness.speakers()
        if not client.known:
            client = claimant(self.witness.certificate(), "")
        spoken = flow.to_server.count or flow.to_client.count
        tls = self._tls.tls if self._tls else None
        return Connection(
            number=flow.number,
            client=flow.client,
            server=flow.server,
            client_process=client,
            server_process=server,
            first_frame=flow.first_frame,
            last_frame=flow.last_frame,
            opened_ns=flow.opened_ns,
            protocol=self._protocol or ("unknown" if spoken else "empty"),
            syn_seen=flow.syn_seen,
            complete=not why,
            why_incomplete=why,
            tls=replace(tls, inside=self._inside.protocol) if tls and self._inside else tls,
            upgraded_to=self.witness.upgraded_to,
            bytes_to_server=flow.to_server.count,
            bytes_to_client=flow.to_client.count,
        )

    def _handler_of(self, protocol: str) -> Handler | None:
        self._protocol = protocol
        if protocol != "tls":
            return self._plain(protocol)
        self._inside = Opening(self._plain)
        self._tls = tls = TlsConversation(self._keys, self._inside)
        self.witness.certificate = lambda: tls.tls.client_certificate
        return tls

    def _plain(self, protocol: str) -> Handler | None:
        """On a port of etcd HTTP/1.1 is its health and its metrics: nothing of the cluster's state."""
        if protocol == "http/1.1" and self.serves in (API, EITHER):
            return Http1Conversation(ApiMessages(self.witness))
        if protocol == "h2" and self.serves:
            api, etcd = ApiStreams(self.witness), EtcdConversation(self.witness)
            readers: dict[str, Streams] = {API: api, ETCD: etcd, EITHER: ApiOrEtcd(api, etcd)}
            return Http2Conversation(readers[self.serves])
        return None

    def _fail(self, why: str) -> None:
        self.failure = why
        self._opening = None
