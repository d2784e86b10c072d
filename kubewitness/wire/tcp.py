"""TCP connections put back together from the segments seen of them.

Where bytes are known to be missing, nothing behind them is delivered: a hole
is never filled with anything but the bytes that were sent.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Final, Protocol

from kubewitness.model.observation import Endpoint
from kubewitness.wire.packet import ACK, FIN, RST, SYN, Segment, reverse, source
from kubewitness.wire.spans import Span
from kubewitness.wire.towards import Towards

#: Bytes kept of one direction to compare what is sent again with, at least, and about twice as many at most:
#: more than is usually in flight.
MAX_COMPARED: Final = 1 << 15
#: Acknowledgements of bytes that were not captured, until these count as lost. A capture that was made up of
#: several queues or ports has packets in another order than they had, so the bytes may be late.
PATIENCE: Final = 64
#: Bytes kept of one direction while an earlier one is awaited: more than Linux' largest receive window.
MAX_WAITING = 8 << 20

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


class Consumer(Protocol):
    """Who reads a connection's bytes."""

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        """The next bytes of one direction, in order and without gaps."""

    def end(self, towards: Towards) -> None:
        """Nothing more is sent in this direction."""

    def abort(self) -> None:
        """Nothing more comes, and what has begun is not completed: bytes are missing, or a reset."""


class Flow:
    """One TCP connection, from its SYN to its end."""

    def __init__(self, number: int, client_key: bytes, frame: int, time_ns: int, *, syn_seen: bool) -> None:
        self.number = number
        self.key = client_key
        self.client: Endpoint = source(client_key)
        self.server: Endpoint = source(reverse(client_key))
        self.first_frame = frame
        self.last_frame = frame
        self.opened_ns = time_ns
        self.syn_seen = syn_seen
        self.closed = False
        self.why_incomplete = "" if syn_seen else "it was open before the capture began"
        self.to_server = Direction(self, Towards.SERVER)
        self.to_client = Direction(self, Towards.CLIENT)
        self.to_server.peer, self.to_client.peer = self.to_client, self.to_server
        self.consumer: Consumer

    def give_up(self, why: str) -> None:
        """Decode no more of either direction; ``why`` says what is missing, if anything."""
        self.why_incomplete = why
        self._forget()
        self.consumer.abort()

    def hole(self) -> str:
        """What is missing at this moment: why nothing more came, or a hole with bytes behind it."""
        if self.why_incomplete:
            return self.why_incomplete
        for direction in (self.to_server, self.to_client):
            if direction.patience:
                return direction.not_captured()
            if direction.waiting:
                return f"{direction.place()} never arrived, though later bytes did"
        return ""

    def closes(self) -> None:
        """Both ends have said all that they had to say."""
        self.closed = True
        self._forget()
        self.consumer.end(Towards.SERVER)
        self.consumer.end(Towards.CLIENT)

    def _forget(self) -> None:
        for direction in (self.to_server, self.to_client):
            direction.waiting.clear()
            direction.recent.clear()

    def aborts(self) -> None:
        """It was reset, or forgotten and its ports used anew."""
        if not self.closed:
            self.closed = True
            self.give_up(self.hole())


class Direction:
    """What one end sends to the other."""

    __slots__ = (
        "acked",
        "anchored",
        "count",
        "ended",
        "fin",
        "flow",
        "next",
        "patience",
        "peer",
        "recent",
        "recent_bytes",
        "towards",
        "waiting",
        "waiting_bytes",
    )

    peer: Direction

    def __init__(self, flow: Flow, towards: Towards) -> None:
        self.flow = flow
        self.towards = towards
        self.anchored = False  # where the stream begins is known
        self.next = 0  # sequence number awaited
        self.count = 0  # payload bytes so far
        self.fin: int | None = None
        self.ended = False
        self.waiting: list[tuple[int, int, int, bytes]] = []  # (offset, frame, time_ns, payload)
        self.waiting_bytes = 0
        self.recent: list[bytes] = []  # the payloads that were delivered last
        self.recent_bytes = 0
        self.acked = 0  # sequence number that the peer has acknowledged, while ``patience`` is not 0
        self.patience = 0  # acknowledgements to come until what they say is missing counts as lost

    def begins(self, seq: int) -> None:
        """The first byte of the stream has this number."""
        self.anchored, self.next = True, seq

    def place(self) -> str:
        return f"bytes to the {self.towards.value} from offset {self.count} on"

    def acknowledged(self, ack: int) -> None:
        """The peer says that it has everything before ``ack``: what is missing of that is late, or lost."""
        missing = (ack - self.next) & _MASK
        if not self.anchored or not 0 < missing < _HALF:
            return
        if not self.patience:
            self.patience, self.acked = PATIENCE, ack
        elif (ack - self.acked) & _MASK < _HALF:
            self.acked = ack
        self.patience -= 1
        if not self.patience:
            self.flow.give_up(self.not_captured())

    def _catch_up(self) -> None:
        """Nothing is doubted any more once all that was acknowledged is there."""
        if self.patience and not 0 < (self.acked - self.next) & _MASK < _HALF:
            self.patience = 0

    def not_captured(self) -> str:
        missing = (self.acked - self.next) & _MASK
        return f"{self.place()} ({missing} of them) were received but not captured"

    def accept(self, seq: int, payload: bytes, frame: int, time_ns: int) -> None:
        """Take a segment's payload: deliver what is next, keep what is early, drop what is old."""
        ahead = (seq - self.next) & _MASK
        if ahead == 0:
            self._deliver(payload, Span(frame, time_ns, frame, time_ns))
        elif ahead < _HALF:
            self._keep(ahead, payload, frame, time_ns)
            return
        else:
            behind = _MASK + 1 - ahead
            probes = (
                behind == len(payload) == 1
            )  # a keep-alive may carry one byte of anything (RFC 9293, 3.8.4)
            if not probes and self._contradicts(self.count - behind, payload[:behind]):
                return
            if len(payload) > behind:
                self._deliver(payload[behind:], Span(frame, time_ns, frame, time_ns))
        if self.waiting:
            self._drain(frame, time_ns)

    def finishes(self) -> None:
        """End the direction if its FIN has been reached."""
        if self.ended or self.fin != self.next:
            return
        self.next = (self.next + 1) & _MASK
        self.ended = True
        self._catch_up()
        if self.peer.ended:
            self.flow.closes()
        else:
            self.flow.consumer.end(self.towards)

    def _deliver(self, payload: bytes, span: Span) -> None:
        size = len(payload)
        self.recent.append(payload)
        self.recent_bytes += size
        if self.recent_bytes > 2 * MAX_COMPARED:
            self._thin_out()
        self.next = (self.next + size) & _MASK
        self.count += size
        if self.patience:
            self._catch_up()
        self.flow.consumer.data(self.towards, payload, span)

    def _thin_out(self) -> None:
        dropped = 0
        for oldest in self.recent:
            if self.recent_bytes - len(oldest) < MAX_COMPARED:
                break
            self.recent_bytes -= len(oldest)
            dropped += 1
        del self.recent[:dropped]

    def _contradicts(self, offset: int, payload: bytes) -> bool:
        """Whether bytes that were sent again are others. Which of them the receiver took is not known."""
        start = self.count - self.recent_bytes
        for known in self.recent:
            end = start + len(known)
            low, high = max(start, offset), min(end, offset + len(payload))
            if low < high and known[low - start : high - start] != payload[low - offset : high - offset]:
                self.flow.give_up(
                    f"bytes to the {self.towards.value} from offset {low} on were sent twice, and differ"
                )
                return True
            start = end
        return False

    def _keep(self, ahead: int, payload: bytes, frame: int, time_ns: int) -> None:
        if self.waiting_bytes + len(payload) > MAX_WAITING:
            self.flow.give_up(f"{self.place()} never arrived, though {MAX_WAITING} later bytes did")
            return
        insort(self.waiting, (self.count + ahead, frame, time_ns, payload))
        self.waiting_bytes += len(payload)

    def _drain(self, frame: int, time_ns: int) -> None:
        used = 0
        for offset, own_frame, own_ns, payload in self.waiting:
            if offset > self.count:
                break
            used += 1
            self.waiting_bytes -= len(payload)
            fresh = payload[self.count - offset :]
            if self._contradicts(offset, payload[: self.count - offset]):
                return
            if fresh:
                self._deliver(fresh, Span(own_frame, own_ns, frame, time_ns))
        del self.waiting[:used]


class Reassembler:
    """All connections. ``consumer_of`` is asked once for each, as it is first seen.

    A direction keeps at most ``MAX_WAITING`` bytes out of order.
    ``server_ports`` tell the server of a connection whose SYN was not seen.
    """

    def __init__(self, server_ports: frozenset[int], consumer_of: Callable[[Flow], Consumer]) -> None:
        self.count = 0
        self._server_ports = server_ports
        self._consumer_of = consumer_of
        self._directions: dict[bytes, Direction] = {}

    def accept(self, frame: int, time_ns: int, segment: Segment) -> None:
        direction = self._directions.get(segment.key)
        if segment.flags & SYN:
            self._syn(direction, segment, frame, time_ns)
            return
        if direction is None:
            if segment.flags & RST:
                return
            direction = self._joined(segment.key, frame, time_ns)
        flow = direction.flow
        if flow.closed:
            return
        flow.last_frame = frame
        refused = segment.flags & RST and not direction.anchored
        if flow.syn_seen and not (direction.anchored or refused or flow.why_incomplete):
            flow.give_up("its SYN was answered, but the answer was not captured")
        if flow.why_incomplete:
            direction.count += 0 if flow.syn_seen else len(segment.payload)
        else:
            _advance(direction, segment, frame, time_ns)
        if segment.flags & RST:
            flow.aborts()

    def forget(self, flow: Flow) -> None:
        """What is sent on its ports from now on is another connection."""
        for key, direction in ((flow.key, flow.to_server), (reverse(flow.key), flow.to_client)):
            if self._directions.get(key) is direction:
                del self._directions[key]

    def _syn(self, known: Direction | None, segment: Segment, frame: int, time_ns: int) -> None:
        first = (segment.seq + 1) & _MASK
        if not segment.flags & ACK:
            if known is None or not _repeats(known, first):
                self._open(segment.key, frame, time_ns).to_server.begins(first)
            return
        if known is None or known.flow.closed:
            known = self._open(reverse(segment.key), frame, time_ns).to_client
            known.peer.begins(segment.ack)
        if not known.anchored and known.flow.syn_seen:
            known.begins(first)
        known.flow.last_frame = frame

    def _open(self, client_key: bytes, frame: int, time_ns: int, *, syn_seen: bool = True) -> Flow:
        self.count += 1
        flow = Flow(self.count, client_key, frame, time_ns, syn_seen=syn_seen)
        flow.consumer = self._consumer_of(flow)
        replaced = self._directions.get(client_key)
        if replaced is not None:
            replaced.flow.aborts()
        self._directions[client_key] = flow.to_server
        self._directions[reverse(client_key)] = flow.to_client
        return flow

    def _joined(self, key: bytes, frame: int, time_ns: int) -> Direction:
        """A connection older than the capture; the known port, else the lower one, is the server's."""
        sender, receiver = source(key).port, source(reverse(key)).port
        known = (sender in self._server_ports, receiver in self._server_ports)
        from_client = known == (False, True) or (known[0] == known[1] and receiver <= sender)
        self._open(key if from_client else reverse(key), frame, time_ns, syn_seen=False)
        return self._directions[key]


def _repeats(known: Direction, first: int) -> bool:
    """Whether a SYN is one already seen, sent again, rather than a new connection's."""
    began = (known.next - known.count - known.ended) & _MASK
    return known.towards is Towards.SERVER and known.anchored and not known.flow.closed and began == first


def _advance(direction: Direction, segment: Segment, frame: int, time_ns: int) -> None:
    """Take what a segment of an intact connection says."""
    flow = direction.flow
    if segment.flags & ACK and segment.ack != direction.peer.next:
        direction.peer.acknowledged(segment.ack)
    if segment.payload and not flow.why_incomplete and not direction.ended:
        direction.accept(segment.seq, segment.payload, frame, time_ns)
    if segment.cut and not flow.why_incomplete:
        flow.give_up(f"the capture left out {segment.cut} bytes of packet {frame}")
    if flow.why_incomplete:
        return
    end = (segment.seq + len(segment.payload)) & _MASK
    if segment.flags & RST:
        direction.acknowledged(end)  # whoever resets has sent all that is before
    elif segment.flags & FIN:
        direction.fin = end
    if direction.fin is not None:
        direction.finishes()
