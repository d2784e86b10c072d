"""What is known of a connection while its messages are decoded: who speaks, and where findings go."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypedDict

from kubewitness.model.observation import UNKNOWN, Endpoint, Observation, Speaker, Undecoded
from kubewitness.wire.spans import Span
from kubewitness.wire.tcp import Flow
from kubewitness.wire.towards import Towards

#: Its program, as its own library tells it: ``kube-scheduler/v1.37.2 (linux/amd64) kubernetes/0123/leader``.
_AGENT = re.compile(r"([^/\s]+)/\S+(?: \([^)]*\))?(?: \S+/\S+?/(\S+))?")
#: Of what is looked at, and remembered, of a claim.
_LONGEST = 1000
_COMMON_NAME = re.compile(r"(?:^|,)CN=([^,]*)")

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
        self.certificate: Callable[[], str] = str  # the subject of the client's, "" if it has shown none
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

    def place(self, towards: Towards, span: Span, stream: int, agent: str = "") -> Place:
        """``agent`` is the User-Agent of the request that is, or is answered by, what is placed."""
        client, server = self.speakers()
        if not client.known:
            client = claimant(self.certificate()[:_LONGEST], agent[:_LONGEST])
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


@lru_cache(maxsize=1024)
def claimant(certificate: str, agent: str) -> Speaker:
    """A client of no known process: a certificate proves more than a user agent."""
    if named := _COMMON_NAME.search(certificate):
        return Speaker("unknown", claimed=named[1], claimed_by="certificate")
    if told := _AGENT.match(agent):
        program = f"{told[1]}/{told[2]}" if told[2] and told[2] != told[1] else told[1]
        return Speaker("unknown", claimed=program, claimed_by="user agent")
    return UNKNOWN
