"""Streams of a server of which it is not known what it is: each tells by the content of its request."""

from __future__ import annotations

from kubewitness.wire.etcd import SERVICES
from kubewitness.wire.grpc import GRPC
from kubewitness.wire.http2 import Headers, Streams
from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards


class ApiOrEtcd:
    """Passes each stream to one of two readers, and those of other gRPC services to none."""

    def __init__(self, api: Streams, etcd: Streams) -> None:
        self._api, self._etcd = api, etcd
        self._readers: dict[int, Streams] = {}

    def headers(self, towards: Towards, stream: int, headers: Headers, span: Span) -> None:
        if towards is Towards.SERVER and stream not in self._readers:
            if not headers.get("content-type", "").startswith(GRPC):
                self._readers[stream] = self._api
            elif headers.get(":path", "").startswith(SERVICES):
                self._readers[stream] = self._etcd
        if reader := self._readers.get(stream):
            reader.headers(towards, stream, headers, span)

    def body(self, towards: Towards, stream: int, data: bytes, span: Span) -> None:
        if reader := self._readers.get(stream):
            reader.body(towards, stream, data, span)

    def ended(self, towards: Towards, stream: int) -> None:
        if reader := self._readers.get(stream):
            reader.ended(towards, stream)
            if towards is Towards.CLIENT:
                del self._readers[stream]

    def reset(self, stream: int) -> None:
        if reader := self._readers.pop(stream, None):
            reader.reset(stream)
