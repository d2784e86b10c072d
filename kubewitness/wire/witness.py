"""What is known of a connection while its messages are decoded: who speaks, and where findings go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from kubewitness.model.observation import UNKNOWN, Endpoint, Observation, Speaker, Undecoded
from kubewitness.wire.spans import Span
from kubewitness.wire.tcp import Flow
from kubewitness.wire.towards import Towards

#: The process that owns the socket whose local end is the first argument: (local, remote, opened_ns).
SpeakerOf = Callable[[Endpoint, Endpoint, int], Speaker]


class Place(TypedDict):
    """The fields that every observation has."""

    first_frame: int
    last_frame: int
    started_ns: int
    time_ns: int
    connection: int
    stream: int
    sender: Speaker
    receiver: Speaker


class Witness:
    """Makes one connection's observations."""

    def __init__(self, flow: Flow, speaker_of: SpeakerOf, tell: Callable[[Observation], None]) -> None:
        self.flow = flow
        self.upgraded_to = ""
        self.tell = tell
        self._speaker_of = speaker_of
        self._client = UNKNOWN
        self._server = UNKNOWN

    def speakers(self) -> tuple[Speaker, Speaker]:
        """Client and server process; one that is unknown is looked for again at every call."""
        flow = self.flow
        if not self._client.known:
            self._client = self._speaker_of(flow.client, flow.server, flow.opened_ns)
        if not self._server.known:
            self._server = self._speaker_of(flow.server, flow.client, flow.opened_ns)
        return self._client, self._server

    def place(self, towards: Towards, span: Span, stream: int) -> Place:
        client, server = self.speakers()
        return Place(
            first_frame=span.first_frame,
            last_frame=span.last_frame,
            started_ns=span.first_ns,
            time_ns=span.last_ns,
            connection=self.flow.number,
            stream=stream,
            sender=client if towards is Towards.SERVER else server,
            receiver=server if towards is Towards.SERVER else client,
        )

    def undecoded(self, towards: Towards, span: Span, stream: int, why: str) -> None:
        self.tell(Undecoded(**self.place(towards, span, stream), why=why))
