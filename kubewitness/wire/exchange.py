"""One request to an API server and its answer, whichever HTTP carries them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from kubewitness.model.observation import ApiObject, ApiRequest, ApiResponse, WatchEvent
from kubewitness.wire.content import body_object, body_operations, holds_object
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.http1 import SWITCHING_PROTOCOLS, Head, Piece, Trailers, is_final
from kubewitness.wire.inflate import Inflater, inflater_of
from kubewitness.wire.spans import Span
from kubewitness.wire.target import target
from kubewitness.wire.towards import Towards
from kubewitness.wire.watch import WatchStream
from kubewitness.wire.witness import Witness

#: Far above what etcd holds of one object, and above the longest list that is answered in one piece.
_LARGEST_OBJECT = 128 << 20


class _Body(NamedTuple):
    object: ApiObject | None
    size: int
    sha256: str
    why: str  # the object is None although there should be one
    operations: tuple[ApiObject, ...] = ()


_NO_BODY = _Body(None, 0, "", "")


class _Message:
    """A message that is arriving. Its body is kept only if there may be an object in it."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.span = head.span
        self.content_type = head.headers.get("content-type", "")
        self.trailers: Mapping[str, str] = {}
        self._inflater: Inflater | None = None
        self._why = ""
        self._parts: list[bytes] = []
        self._size = 0
        self._sha256 = hashlib.sha256()
        try:
            self._inflater = inflater_of(head.headers.get("content-encoding", ""))
        except DecodeError as error:
            self._why = str(error)
        self._kept = not self._why and holds_object(self.content_type)

    def add(self, part: Piece | Trailers) -> None:
        self.extend(part.span)
        if isinstance(part, Trailers):
            self.trailers = part.headers
            return
        data = part.data
        if self._inflater and not self._why:
            try:
                data = self._inflater.feed(data)
            except DecodeError as error:
                self._give_up(str(error))
        self._size += len(data)
        self._sha256.update(data)
        if self._kept:
            self._parts.append(data)
            if self._size > _LARGEST_OBJECT:
                self._give_up(f"an object of more than {_LARGEST_OBJECT} bytes is not read")

    def extend(self, span: Span) -> None:
        self.span = self.span.join(span)

    def body(self) -> _Body:
        if self._inflater and not self._why and not self._inflater.complete:
            self._give_up(f"a gzip body is cut off after {self._size} bytes")
        found: ApiObject | None = None
        operations: tuple[ApiObject, ...] = ()
        why = self._why
        data = b"".join(self._parts)
        try:
            operations = body_operations(self.content_type, data)
            found = body_object(self.content_type, data) if self._kept and not operations else None
        except DecodeError as error:
            why = str(error)
        digest = self._sha256.hexdigest() if self._size else ""
        return _Body(found, self._size, digest, why, operations)

    def _give_up(self, why: str) -> None:
        self._why, self._kept = why, False
        self._parts.clear()


class Exchange:
    """Tells the witness of the request once it is complete, and of the answer.

    An answer is given when its body is complete, that to a watch with its
    head: the body need not end, and its events are told one by one.
    """

    def __init__(self, witness: Witness, number: int) -> None:
        self.number = number
        self.request: ApiRequest | None = None
        self._witness = witness
        self._asking: _Message | None = None
        self._answering: _Message | None = None
        self._watch: WatchStream | None = None
        self._position = 0
        self._agent = ""

    @property
    def asking(self) -> bool:
        """The request has begun, and is not complete."""
        return self._asking is not None

    @property
    def answering(self) -> bool:
        """An answer has begun, and is not complete."""
        return self._answering is not None

    def ask(self, part: Head | Piece | Trailers) -> None:
        if isinstance(part, Head):
            self._asking = _Message(part)
        elif self._asking is None:
            raise DecodeError("a request's body came before its head")
        else:
            self._asking.add(part)

    def asked(self, span: Span | None = None) -> None:
        """The request is complete; ``span`` is that of its end, if that has bytes of its own."""
        message = self._asking
        if message is None:
            raise DecodeError("a request ended before it began")
        self._asking = None
        if span:
            message.extend(span)
        method, uri, _ = message.head.parts
        about, body = target(method, uri), message.body()
        name = about.name
        if about.verb == "create" and not name and body.object:
            metadata = body.object.get("metadata")
            name = str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
        self._agent = message.head.headers.get("user-agent", "")
        self.request = ApiRequest(
            **self._witness.place(Towards.SERVER, message.span, self.number, self._agent),
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
            operations=body.operations,
            trailers=message.trailers,
        )
        self._witness.tell(self.request)
        if body.why:
            self._undecoded(Towards.SERVER, message.span, f"the body of {self._asked_for}: {body.why}")

    def answer(self, part: Head | Piece | Trailers) -> None:
        if isinstance(part, Head):
            self._answering = _Message(part)
            if self._is_watch:
                self._watch_opens(self._answering)
        elif self._answering is None:
            raise DecodeError("a response's body came before its head")
        elif self._is_watch:
            if isinstance(part, Piece):  # the answer has been told, so what trails it has no place
                self._watched(part)
        else:
            self._answering.add(part)

    def answered(self, span: Span | None = None) -> bool:
        """The answer is complete. Returns whether it is the last one: an interim one has another after it."""
        message = self._answering
        if message is None:
            raise DecodeError("a response ended before it began")
        if span:
            message.extend(span)
        status = message.head.parts[1]
        final = is_final(status)
        if self._is_watch:
            if self._watch is not None and self._watch.within_event:
                why = f"the watch of {self._known.path} ended within an event"
                self._undecoded(Towards.CLIENT, message.span, why)
            self._watch = None
        elif final:
            self._respond(message, message.body())
        if status == SWITCHING_PROTOCOLS:
            self._witness.upgraded_to = message.head.headers.get("upgrade", "unknown")
        self._answering = None
        return final

    @property
    def _known(self) -> ApiRequest:
        if self.request is None:
            raise DecodeError("a response came before its request")
        return self.request

    @property
    def _asked_for(self) -> str:
        return f"{self._known.method} {self._known.path}"

    @property
    def _is_watch(self) -> bool:
        """Whether the answer that is arriving is a stream of events."""
        assert self._answering is not None
        return self._known.verb == "watch" and self._answering.head.parts[1] == "200"

    def _respond(self, message: _Message, body: _Body) -> None:
        self._witness.tell(
            ApiResponse(
                **self._witness.place(Towards.CLIENT, message.span, self.number, self._agent),
                request=self._known,
                status=int(message.head.parts[1]),
                content_type=message.content_type,
                headers=message.head.headers,
                body=body.object,
                body_bytes=body.size,
                body_sha256=body.sha256,
                trailers=message.trailers,
            )
        )
        if body.why:
            self._undecoded(Towards.CLIENT, message.span, f"the answer to {self._asked_for}: {body.why}")

    def _watch_opens(self, message: _Message) -> None:
        why = ""
        try:
            self._watch = WatchStream(message.content_type, message.head.headers.get("content-encoding", ""))
        except DecodeError as error:
            why = str(error)
        self._respond(message, _NO_BODY._replace(why=why))

    def _watched(self, piece: Piece) -> None:
        """Damage ends what is read of this watch, and nothing else: its message has borders of its own."""
        if self._watch is None:
            return
        self._watch.append(piece)
        try:
            self._tell_events(self._watch)
        except DecodeError as error:
            self._watch = None
            why = f"the watch of {self._known.path} is not read behind event {self._position}: {error}"
            self._undecoded(Towards.CLIENT, piece.span, why)

    def _tell_events(self, watch: WatchStream) -> None:
        for data, span in watch.frames():
            self._position += 1
            try:
                kind, found = watch.event(data)
            except DecodeError as error:
                why = f"event {self._position} of the watch of {self._known.path}: {error}"
                self._undecoded(Towards.CLIENT, span, why)
                continue
            self._witness.tell(
                WatchEvent(
                    **self._witness.place(Towards.CLIENT, span, self.number, self._agent),
                    request=self._known,
                    type=kind,
                    object=found,
                    position=self._position,
                )
            )

    def _undecoded(self, towards: Towards, span: Span, why: str) -> None:
        self._witness.undecoded(towards, span, self.number, why)
