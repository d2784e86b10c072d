"""From captured packets to a history."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TypeVar, cast

from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import (
    ApiRequest,
    ApiResponse,
    Connection,
    EtcdRequest,
    EtcdResponse,
    Observation,
    Undecoded,
    WatchEvent,
)
from kubewitness.wire.conversation import API, EITHER, ETCD, Conversation
from kubewitness.wire.packet import ETHERNET, segment
from kubewitness.wire.tcp import Flow, Reassembler
from kubewitness.wire.tls import KeyLog
from kubewitness.wire.witness import SpeakerOf, Witness

_Message = TypeVar("_Message", bound=Observation)
#: Packets after a connection's last one.
_REMEMBERED = 10_000


class Decoder:
    """Feed it every packet of a capture, in order; it keeps all that it has observed.

    ``api_ports`` are where an API server (or a relay before it) may speak,
    ``etcd_ports`` where etcd may; if there are neither, every port is looked
    at. What is said on other ports is not decoded, though its connections are
    listed. TLS is opened with the secrets of ``keys``, which may still be
    growing; without them it stays closed, and that counts as nothing missing.
    ``speaker_of(local, remote, opened_ns)`` names the process that
    owns the socket whose local end is ``local``; it is asked when a message
    is observed, and again for as long as it answers UNKNOWN.
    """

    def __init__(
        self,
        api_ports: frozenset[int],
        etcd_ports: frozenset[int],
        speaker_of: SpeakerOf,
        keys: KeyLog | None = None,
    ) -> None:
        self._serves = dict.fromkeys(etcd_ports, ETCD) | dict.fromkeys(api_ports, API)
        self._elsewhere = "" if self._serves else EITHER
        self._keys = keys
        self._speaker_of = speaker_of
        self._reassembler = Reassembler(api_ports | etcd_ports, self._conversation)
        self._conversations: dict[int, Conversation] = {}  # by the number of their connection
        self._observations: list[Observation] = []
        self._frame = 0

    @property
    def connections(self) -> int:
        """How many connections there were so far."""
        return self._reassembler.count

    def connection(self, number: int) -> Connection:
        """As far as it is known."""
        return self._conversations[number].connection()

    def forget(self) -> None:
        """Keep nothing of what is complete, for one who has taken it from ``feed`` and reads without end.

        A later history lacks it. A connection is remembered for some packets
        after its end, since the last of them may be sent again.
        """
        # In place: the witnesses append to it.
        self._observations[:] = [seen for seen in self._observations if isinstance(seen, Undecoded)]
        for number, each in list(self._conversations.items()):
            flow = each.witness.flow
            if flow.closed and flow.last_frame < self._frame - _REMEMBERED and not each.missing():
                self._reassembler.forget(flow)
                del self._conversations[number]

    def feed(self, frame: int, time_ns: int, data: bytes, link: int = ETHERNET) -> list[Observation]:
        """Take one frame, numbered from 1, of a link type; returns the messages that it completes."""
        before = len(self._observations)
        self._frame = frame
        found = segment(data, link)
        if found is not None:
            self._reassembler.accept(frame, time_ns, found)
        return self._observations[before:]

    def finish(self, statistics: CaptureStatistics) -> History:
        """All that was decoded so far. More may be fed afterwards."""
        self._attribute()
        ordered = sorted(self._observations, key=attrgetter("last_frame"))
        return History(
            observations=tuple(ordered),
            connections=tuple(each.connection() for each in self._conversations.values()),
            statistics=statistics,
            missing=tuple(self._missing(ordered, statistics)),
        )

    def _conversation(self, flow: Flow) -> Conversation:
        witness = Witness(flow, self._speaker_of, self._observations.append)
        conversation = Conversation(witness, self._serves.get(flow.server.port, self._elsewhere), self._keys)
        self._conversations[flow.number] = conversation
        return conversation

    def _missing(self, ordered: list[Observation], statistics: CaptureStatistics) -> list[str]:
        found = []
        if statistics.dropped:
            found.append(f"the kernel dropped {statistics.dropped} packets besides {statistics.packets}")
        if statistics.unwritten:
            lost = f"{statistics.unwritten} packets behind packet {statistics.packets} are not in the capture"
            found.append(f"{lost}: {statistics.why_unwritten}")
        for each in self._conversations.values():
            if why := each.missing():
                flow = each.witness.flow
                found.append(f"connection {flow.number} ({flow.client} to {flow.server}): {why}")
        found.extend(
            f"packet {seen.last_frame} (connection {seen.connection}): {seen.why}"
            for seen in ordered
            if isinstance(seen, Undecoded)
        )
        return found

    def _attribute(self) -> None:
        """Name the speakers that could not be named when their messages were observed."""
        speakers = {number: each.witness.speakers() for number, each in self._conversations.items()}
        renamed: dict[int, tuple[Observation, Observation]] = {}  # both are kept, so no id is used twice

        def named(seen: _Message) -> _Message:
            client, server = speakers[seen.connection]
            asks = isinstance(seen, ApiRequest | EtcdRequest)
            sender, receiver = (client, server) if asks else (server, client)
            if (seen.sender.known or not sender.known) and (seen.receiver.known or not receiver.known):
                return seen
            if id(seen) not in renamed:
                renamed[id(seen)] = (seen, replace(seen, sender=sender, receiver=receiver))
            return cast("_Message", renamed[id(seen)][1])

        for index, seen in enumerate(self._observations):
            if isinstance(seen, Undecoded):
                continue
            current = named(seen)
            match current:
                case ApiResponse() | WatchEvent():
                    request = named(current.request)
                    current = current if request is current.request else replace(current, request=request)
                case EtcdResponse():
                    asked = named(current.request)
                    current = current if asked is current.request else replace(current, request=asked)
            self._observations[index] = current
