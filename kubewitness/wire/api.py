"""A conversation with the API server over HTTP/1.1: requests, answers and watch events."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import NamedTuple

from kubewitness.model.observation import ApiObject, ApiRequest, ApiResponse, WatchEvent
from kubewitness.wire.content import body_object, uncompressed
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.http1 import End, Head, MessageReader, Piece
from kubewitness.wire.spans import Span
from kubewitness.wire.target import target
from kubewitness.wire.towards import Towards
from kubewitness.wire.watch import WatchStream
from kubewitness.wire.witness import Witness

_LONGEST_UNASKED = 1 << 20


class _Body(NamedTuple):
    object: ApiObject | None
    size: int
    sha256: str
    why: str  # the object is None although there should be one


class _Message:
    """A message that is arriving."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.span = head.span
        self.content_type = head.headers.get("content-type", "")
        self._parts: list[bytes] = []

    def add(self, piece: Piece) -> None:
        self._parts.append(piece.data)
        self.span = self.span.join(piece.span)

    def body(self) -> _Body:
        data, found, why = b"".join(self._parts), None, ""
        try:
            data = uncompressed(data, self.head.headers.get("content-encoding", ""))
            found = body_object(self.content_type, data)
        except DecodeError as error:
            why = str(error)
        return _Body(found, len(data), hashlib.sha256(data).hexdigest() if data else "", why)


class ApiConversation:
    """Pairs requests and responses in order; a response is read once its request is complete."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._requests = MessageReader()
        self._responses = MessageReader()
        self._asked: deque[ApiRequest] = deque()
        self._asking: _Message | None = None
        self._answering: _Message | None = None
        self._watch: WatchStream | None = None
        self._position = 0
        self._exchanges = 0
        self._over = False

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._over:
            return
        (self._requests if towards is Towards.SERVER else self._responses).append(payload, span)
        self._advance()

    def end(self, towards: Towards) -> None:
        if not self._over:
            (self._requests if towards is Towards.SERVER else self._responses).close()
            self._advance()

    def _advance(self) -> None:
        while (part := self._requests.next()) is not None:
            self._request_part(part)
        while self._asked and not self._over:
            request = self._asked[0]
            answer = self._responses.next(request.method)
            if answer is None:
                return
            self._response_part(request, answer)
        if self._responses.unread > _LONGEST_UNASKED and not self._asked:
            raise DecodeError(f"the server said {self._responses.unread} bytes that nobody asked for")

    def _request_part(self, part: Head | Piece | End) -> None:
        if isinstance(part, Head):
            self._asking = _Message(part)
        elif self._asking is None:
            raise DecodeError("a request's body came before its head")
        elif isinstance(part, Piece):
            self._asking.add(part)
        else:
            self._asking.span = self._asking.span.join(part.span)
            self._asked_for(self._asking)
            self._asking = None

    def _asked_for(self, message: _Message) -> None:
        self._exchanges += 1
        method, uri, _ = message.head.parts
        about, body = target(method, uri), message.body()
        name = about.name
        if about.verb == "create" and not name and body.object:
            metadata = body.object.get("metadata")
            name = str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
        request = ApiRequest(
            **self._witness.place(Towards.SERVER, message.span, self._exchanges),
            method=method,
            path=about.path,
            query=about.query,
            headers=message.head.headers,
            verb=about.verb,
            group=about.group,
            version=about.version,
            resource=about.resource,
            subresource=about.subresource,
            namespace=about.namespace,
            name=name,
            content_type=message.content_type,
            body=body.object,
            body_bytes=body.size,
            body_sha256=body.sha256,
        )
        self._asked.append(request)
        self._witness.tell(request)
        if body.why:
            why = f"the body of {method} {about.path}: {body.why}"
            self._witness.undecoded(Towards.SERVER, message.span, request.stream, why)

    def _response_part(self, request: ApiRequest, part: Head | Piece | End) -> None:
        if isinstance(part, Head):
            self._answering = _Message(part)
            if request.verb == "watch" and part.parts[1] == "200":
                self._watch_opens(request, self._answering)
            return
        message = self._answering
        if message is None:
            raise DecodeError("a response's body came before its head")
        if isinstance(part, End):
            message.span = message.span.join(part.span)
            self._answered(request, message)
        elif request.verb == "watch" and message.head.parts[1] == "200":
            self._watched(request, part)
        else:
            message.add(part)

    def _answered(self, request: ApiRequest, message: _Message) -> None:
        status = int(message.head.parts[1])
        self._answering = None
        if 100 <= status < 200 and status != 101:
            return  # the final answer is still to come
        self._asked.popleft()
        if request.verb == "watch" and status == 200:
            if self._watch is not None and self._watch.within_event:
                why = f"the watch of {request.path} ended within an event"
                self._witness.undecoded(Towards.CLIENT, message.span, request.stream, why)
            self._watch = None
            return
        self._respond(request, message, message.body())
        if status == 101:
            self._witness.protocol = "upgraded"
            self._over = True

    def _respond(self, request: ApiRequest, message: _Message, body: _Body) -> None:
        self._witness.tell(
            ApiResponse(
                **self._witness.place(Towards.CLIENT, message.span, request.stream),
                request=request,
                status=int(message.head.parts[1]),
                content_type=message.content_type,
                headers=message.head.headers,
                body=body.object,
                body_bytes=body.size,
                body_sha256=body.sha256,
            )
        )
        if body.why:
            why = f"the answer to {request.method} {request.path}: {body.why}"
            self._witness.undecoded(Towards.CLIENT, message.span, request.stream, why)

    def _watch_opens(self, request: ApiRequest, message: _Message) -> None:
        """The answer to a watch is given as soon as its head is there: its body need not end."""
        self._position, why = 0, ""
        try:
            self._watch = WatchStream(message.content_type, message.head.headers.get("content-encoding", ""))
        except DecodeError as error:
            why = str(error)
        self._respond(request, message, _Body(None, 0, "", why))

    def _watched(self, request: ApiRequest, piece: Piece) -> None:
        if self._watch is None:
            return
        self._watch.append(piece)
        for data, span in self._watch.frames():
            self._position += 1
            try:
                kind, found = self._watch.event(data)
            except DecodeError as error:
                why = f"event {self._position} of the watch of {request.path}: {error}"
                self._witness.undecoded(Towards.CLIENT, span, request.stream, why)
                continue
            self._witness.tell(
                WatchEvent(
                    **self._witness.place(Towards.CLIENT, span, request.stream),
                    request=request,
                    type=kind,
                    object=found,
                    position=self._position,
                )
            )
