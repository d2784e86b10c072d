"""The beginning of a conversation: its protocol, told from what the client says first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kubewitness.wire.http1 import METHODS
from kubewitness.wire.http2 import PREFACE
from kubewitness.wire.spans import Span
from kubewitness.wire.tls import CLIENT_HELLO
from kubewitness.wire.towards import Towards

_STARTS = {CLIENT_HELLO: "tls", PREFACE: "h2"} | {f"{m} ".encode(): "http/1.1" for m in METHODS}
#: A server that says this much before its client says anything speaks none of the protocols known here.
_LONGEST_GREETING = 1 << 16


class Handler(Protocol):
    """Who reads a protocol."""

    def data(self, towards: Towards, payload: bytes, span: Span, /) -> None: ...

    def end(self, towards: Towards, /) -> None: ...


class Opening:
    """Holds what is said until the protocol is told, and passes it on to the handler of that one."""

    def __init__(self, handler_of: Callable[[str], Handler | None]) -> None:
        self.protocol = ""  # tls, h2, http/1.1 or unknown; "": not told yet
        self._handler_of = handler_of
        self._handler: Handler | None = None
        self._early: list[tuple[Towards, bytes, Span]] = []
        self._start = b""
        self._greeting = 0

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        if self._handler is not None:
            self._handler.data(towards, payload, span)
        elif not self.protocol:
            self._sniff(towards, payload, span)

    def end(self, towards: Towards) -> None:
        if self._early and towards is Towards.SERVER:
            self._tell("unknown")
        if self._handler is not None:
            self._handler.end(towards)

    def _sniff(self, towards: Towards, payload: bytes, span: Span) -> None:
        self._early.append((towards, payload, span))
        if towards is Towards.SERVER:
            self._start += payload[: len(PREFACE) - len(self._start)]
            for start, protocol in _STARTS.items():
                if self._start.startswith(start):
                    self._tell(protocol)
                    return
            if not any(start.startswith(self._start) for start in _STARTS):
                self._tell("unknown")
        else:
            self._greeting += len(payload)
            if self._greeting > _LONGEST_GREETING:
                self._tell("unknown")

    def _tell(self, protocol: str) -> None:
        self.protocol = protocol
        self._handler = self._handler_of(protocol)
        early, self._early = self._early, []
        for each in early if self._handler else ():
            self.data(*each)
