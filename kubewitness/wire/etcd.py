"""A conversation with etcd: calls, answers and watch events."""

from __future__ import annotations

from collections import deque
from itertools import chain

from kubewitness.model.observation import EtcdRequest, EtcdResponse, EtcdWatchEvent
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.etcd_messages import WATCH, Answer, Changes, EtcdReader
from kubewitness.wire.etcd_services import joined
from kubewitness.wire.grpc import GRPC, MessageStream
from kubewitness.wire.http2 import Headers
from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards
from kubewitness.wire.witness import Witness

_STATUSES = {str(code): code for code in range(17)}
_KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
STREAMED = (WATCH, _KEEP_ALIVE)
#: How the paths begin of what etcd serves; other services may be on its port, and are not its own.
SERVICES = ("/etcdserverpb.", "/v3lockpb.", "/v3electionpb.", "/grpc.health.", "/authpb.")
_MOST_WAITING = 10_000


class _Call:
    """One gRPC call while it runs."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.asks = MessageStream()
        self.answers = MessageStream()
        self.request: EtcdRequest | None = None
        self.waiting: deque[EtcdRequest] = deque()  # of a stream: those without an answer
        self.watches: dict[int, EtcdRequest] = {}
        self.answered: list[Answer] = []  # several for a RangeStream
        self.answer_span: Span | None = None
        self.status = ""  # grpc-status, which the trailers bring


class EtcdConversation:
    """Reads the streams of one connection to etcd."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._calls: dict[int, _Call] = {}

    def headers(self, towards: Towards, stream: int, headers: Headers, span: Span) -> None:
        if towards is Towards.SERVER:
            path = headers.get(":path", "")
            if headers.get("content-type", "").startswith(GRPC) and path.startswith(SERVICES):
                self._calls[stream] = _Call(path)
                self._calls[stream].asks.encoding = headers.get("grpc-encoding", "")
            return
        call = self._calls.get(stream)
        if call is None:
            return
        if ":status" in headers:
            call.answers.encoding = headers.get("grpc-encoding", "")
        call.answer_span = call.answer_span.join(span) if call.answer_span else span
        call.status = headers.get("grpc-status", call.status)

    def body(self, towards: Towards, stream: int, data: bytes, span: Span) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        messages = call.asks if towards is Towards.SERVER else call.answers
        messages.append(data, span)
        try:
            for content, content_span in messages.messages():
                if towards is Towards.SERVER:
                    self._asked(stream, call, content, content_span)
                else:
                    self._answered(stream, call, content, content_span)
        except DecodeError as error:
            self._witness.undecoded(towards, span, stream, f"{call.method}: {error}")
            del self._calls[stream]

    def ended(self, towards: Towards, stream: int) -> None:
        """A call's answer is complete with its trailers, which carry the status."""
        if towards is Towards.CLIENT:
            self.reset(stream)

    def reset(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            self._over(stream, call)

    def _asked(self, stream: int, call: _Call, data: bytes, span: Span) -> None:
        problems: list[str] = []
        asked = EtcdReader(problems.append).call(call.method, data)
        call.request = EtcdRequest(
            **self._witness.place(Towards.SERVER, span, stream),
            method=call.method,
            compares=asked.compares,
            operations=asked.operations,
            otherwise=asked.otherwise,
            arguments=asked.arguments,
        )
        self._witness.tell(call.request)
        if call.method == _KEEP_ALIVE or (call.method == WATCH and asked.operations):
            call.waiting.append(call.request)
            if len(call.waiting) > _MOST_WAITING:
                raise DecodeError(f"more than {_MOST_WAITING} requests of one stream have no answer")
        self._complain(Towards.SERVER, stream, span, problems)

    def _answered(self, stream: int, call: _Call, data: bytes, span: Span) -> None:
        problems: list[str] = []
        reader = EtcdReader(problems.append)
        if call.method == WATCH:
            changes = reader.changes(data)
            for change in changes.events:
                self._witness.tell(
                    EtcdWatchEvent(
                        **self._witness.place(Towards.CLIENT, span, stream),
                        watch_id=changes.watch_id,
                        revision=changes.revision,
                        type=change.type,
                        kv=change.kv,
                        previous=change.previous,
                    )
                )
            self._controlled(stream, call, changes, span)
        elif call.method == _KEEP_ALIVE:
            request = call.waiting.popleft() if call.waiting else None
            self._tell_answer(stream, call, request, span, [reader.answer(call.method, data)])
        else:
            call.answered.append(reader.answer(call.method, data))
            call.answer_span = call.answer_span.join(span) if call.answer_span else span
        self._complain(Towards.CLIENT, stream, span, problems)

    def _controlled(self, stream: int, call: _Call, changes: Changes, span: Span) -> None:
        """A watch is answered by its events, so it is told when etcd ends it, and why, not when it begins."""
        if changes.control.get("created") and call.waiting:
            call.watches[changes.watch_id] = call.waiting.popleft()
        if changes.control.get("canceled"):
            request = call.watches.pop(changes.watch_id, call.request)
            answer = Answer(changes.revision, results=changes.control)
            self._tell_answer(stream, call, request, span, [answer])

    def _over(self, stream: int, call: _Call) -> None:
        if call.method not in STREAMED and call.answer_span is not None:
            self._tell_answer(stream, call, call.request, call.answer_span, call.answered)

    def _tell_answer(
        self, stream: int, call: _Call, request: EtcdRequest | None, span: Span, parts: list[Answer]
    ) -> None:
        if request is None:
            self._witness.undecoded(
                Towards.CLIENT, span, stream, f"{call.method}: an answer without its request"
            )
            return
        self._witness.tell(
            EtcdResponse(
                **self._witness.place(Towards.CLIENT, span, stream),
                request=request,
                revision=max((part.revision for part in parts), default=0),
                succeeded=parts[-1].succeeded if parts else None,
                keys=tuple(chain.from_iterable(part.keys for part in parts)),
                grpc_status=_STATUSES.get(call.status),
                results=joined([part.results for part in parts]),
            )
        )

    def _complain(self, towards: Towards, stream: int, span: Span, problems: list[str]) -> None:
        for why in problems:
            self._witness.undecoded(towards, span, stream, why)
