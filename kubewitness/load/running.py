"""A load while it runs: which request goes when on which connection, and what came back."""

from __future__ import annotations

import gc
import os
import resource
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kubewitness.load import clock
from kubewitness.load.answers import Answer, Events, watching
from kubewitness.load.dialogues import (
    WINDOW,
    Answered,
    Dialogue,
    Multiplexed,
    OneByOne,
    multiplexed,
    one_by_one,
)
from kubewitness.load.links import Link
from kubewitness.load.plan import CLOSED, HTTP1, HTTP2, Delivered, Outcome, Plan, PlanError, Sent
from kubewitness.load.pool import Ended, Held, Pool, Server, told

#: What the server may take for the first connections and the watch.
START_NS: Final = 10_000_000_000
#: Connections of HTTP/1.1 that are open before the start, if the plan does not say how many.
AHEAD: Final = 64
#: In an open loop the first request is due so long after all is ready.
LEAD_NS: Final = 2_000_000
#: Waiting for a time ends tens of microseconds late, more on an idle processor. So the end of it is spent on
#: asking over and over; for this long, but at most a tenth of what is between two requests.
SPIN_NS: Final = 200_000
_SPIN_SHARE: Final = 10
#: Events that are handled before it is looked again at what is due.
_AT_ONCE: Final = 16
_MANY: Final = 1024
_MOST_REWATCHED: Final = 1000
_FILES: Final = 64  # open for anything but connections


class Running:
    """One load. ``owner`` is a file that comes to its end if the load is to be ended; -1 for none."""

    def __init__(self, plan: Plan, owner: int = -1) -> None:
        self._plan = plan
        self._closed = plan.loop == CLOSED
        most = plan.connections
        if self._closed:
            most = min(most, plan.concurrency, max(1, len(plan.requests)))
        _allow_files(most + _FILES)
        self._wait = clock.Waiting()
        self._owner = owner
        if owner >= 0:
            self._wait.register(owner, select.EPOLLIN)
        self._server = Server(plan)
        prepare = multiplexed if plan.protocol == HTTP2 else one_by_one
        self._prepared = [prepare(each, self._server.netloc, plan.accept) for each in plan.requests]
        ahead = plan.ahead
        if ahead is None:
            ahead = AHEAD if plan.protocol == HTTP1 else 1
        self._pool = Pool(
            self._server, self._wait, most, most if self._closed else ahead, self._dialogue(most)
        )
        count = len(plan.requests)
        self._intended: list[int] = [0] * count
        self._sent: list[int | None] = [None] * count
        self._answered: list[int | None] = [None] * count
        self._status: list[int | None] = [None] * count
        self._over = 0  # requests that are answered, or will never be
        self._due: deque[int] = deque()  # by number, requests that no connection is free for
        self._events = Events()
        self._watch = Answer(self._events.feed)
        self._told: dict[str, tuple[int, str]] = {}
        self._watch_ended = ""
        self._rewatch = False  # the first has begun
        self._rewatched = 0

    def run(self) -> Outcome:
        """Raises ClusterError if the server cannot be reached, PlanError if it refuses the watch."""
        self._prepare()
        gc.collect()
        gc.freeze()
        gc.disable()
        clock.wake_up_punctually()
        ahead = clock.ahead_ns()
        began, processor = clock.now() + (0 if self._closed else LEAD_NS), time.process_time_ns()
        until = began + int(self._plan.within_s * 1e9)
        try:
            self._closed_loop(until) if self._closed else self._open_loop(began, until)
        finally:
            self._pool.close()
        ended, processor = clock.now(), time.process_time_ns() - processor
        return self._outcome(began, ended, ahead, processor)

    def _dialogue(self, connections: int) -> Callable[[], Dialogue]:
        plan = self._plan
        if plan.protocol == HTTP1:
            return OneByOne
        largest = max((len(each.octets()) for each in plan.requests), default=0)
        if largest > WINDOW:
            raise PlanError(f"a load by h2: wanted bodies of at most {WINDOW} bytes, found one of {largest}")
        most = max(1, plan.concurrency // connections) if self._closed else _MANY
        return partial(Multiplexed, most, largest)

    # Before the start

    def _prepare(self) -> None:
        until = clock.now() + START_NS
        if self._plan.watch:
            held = self._pool.add(self._open_first(), OneByOne(), watching=True)
            while not self._watch.status:
                self._step(until, "the watch's answer", until)
                self._check_watch()
            self._server.keep_session(held.link, HTTP1)
            self._rewatch = True
        while not self._pool.complete:
            self._pool.want(0)
            if self._pool.trouble:
                raise self._server.unreachable(self._pool.trouble)
            self._step(until, "connections to be open", until)

    def _open_first(self) -> Link:
        try:
            return self._server.open(HTTP1)
        except OSError as error:
            raise self._server.unreachable(error) from error

    def _check_watch(self) -> None:
        status = self._watch.status
        if status and status != 200:
            raise PlanError(f"a load's watch: wanted the status 200 for {self._plan.watch}, found {status}")
        if self._pool.trouble:
            raise self._server.unreachable(self._pool.trouble)

    def _step(self, when: int, what: str, until: int) -> None:
        for fd, mask in self._wait.until(when, _AT_ONCE):
            self._handle(fd, mask)
        self._pool.bury()
        if clock.now() >= until:
            raise self._server.unreachable(f"waited {START_NS / 1e9:g} s for {what}")

    # Loops

    def _open_loop(self, began: int, until: int) -> None:
        offsets = [each.offset_ns for each in self._plan.requests]
        coming = deque(sorted(range(len(offsets)), key=offsets.__getitem__))
        for number, offset in enumerate(offsets):
            self._intended[number] = began + offset
        now = clock.now
        wait, handle, intended = self._wait.until, self._handle, self._intended
        pool, due = self._pool, self._due
        if coming:
            between = offsets[coming[-1]] // len(offsets)
            self._wait.spin_ns = min(SPIN_NS, between // _SPIN_SHARE)
        while not self._done() and (at := now()) < until:
            while coming and intended[coming[0]] <= at:
                due.append(coming.popleft())
                self._pump()
                at = now()
            when = min(intended[coming[0]], until) if coming else until
            for fd, mask in wait(pool.again_at(len(due), when), _AT_ONCE):
                handle(fd, mask)
            pool.bury()
            if due or pool.broken:
                self._pump()

    def _closed_loop(self, until: int) -> None:
        self._due.extend(range(len(self._prepared)))
        while not self._done() and clock.now() < until:
            self._pump()
            when = self._pool.again_at(len(self._due), until)
            for fd, mask in self._wait.until(when, _MANY):
                self._handle(fd, mask)
            self._pool.bury()

    def _done(self) -> bool:
        if self._over < len(self._prepared):
            return False
        return len(self._told) >= self._plan.deliveries or bool(self._watch_ended)

    def _pump(self) -> None:
        """Sends what is due, as far as there are connections."""
        while self._due and self._pool.free:
            self._send(self._pool.take())
        self._pool.want(len(self._due))

    def _send(self, held: Held) -> None:
        """Sends as much of what is due as it has room for."""
        due, dialogue, link = self._due, held.dialogue, held.link
        held.latest = numbers = [due.popleft()]
        data = dialogue.request(numbers[0], self._prepared[numbers[0]])
        while due and dialogue.room:
            numbers.append(due.popleft())
            data += dialogue.request(numbers[-1], self._prepared[numbers[-1]])
        try:
            sealed = link.seal(data)
            at = clock.now()
            for number in numbers:
                self._sent[number] = at
            link.push(sealed)
        except OSError as error:
            self._lose(held, error)
            return
        if link.unsent:
            self._pool.watch_for(held)
        if dialogue.room:
            self._pool.put(held)

    # Events

    def _handle(self, fd: int, mask: int) -> None:
        held = self._pool.held.get(fd)
        if held is None:
            self._look_at_owner(fd)
            return
        try:
            if held.opening and not held.link.ready:
                self._open(held)
            else:
                self._exchange(held, mask)
        except OSError as error:
            self._lose(held, error)

    def _look_at_owner(self, fd: int) -> None:
        # Anything else is a connection that was closed when its event had been fetched already.
        if fd == self._owner and not os.read(fd, 1):
            raise Ended("with the process that started it")

    def _open(self, held: Held) -> None:
        held.link.advance()
        if held.link.ready:
            if held.watching:
                held.link.push(held.link.seal(watching(self._plan.watch or "", self._server.netloc)))
            else:
                self._reply(held)
                if held.dialogue.room:
                    self._pool.opened(held)
        self._pool.watch_for(held)

    def _exchange(self, held: Held, mask: int) -> None:
        link = held.link
        if mask & select.EPOLLOUT:
            link.flush()
            self._pool.watch_for(held)
        if mask & ~select.EPOLLOUT:
            data = link.receive()
            at = clock.now()
            if held.watching:
                self._deliver(held, data, at)
                return
            found = held.dialogue.feed(data) if data else []
            if link.over:
                found += held.dialogue.end()
            if found:
                self._finish(found, at)
                self._server.keep_session(link)
            self._go_on(held)

    def _finish(self, found: Sequence[Answered], at: int) -> None:
        """Answers are complete, or have broken off."""
        self._over += len(found)
        for number, status in found:
            if status is not None:
                self._answered[number], self._status[number] = at, status

    def _go_on(self, held: Held) -> None:
        """After something was received: sends more, or lets the connection be free or given up."""
        dialogue, link = held.dialogue, held.link
        if link.over or (dialogue.closes and not dialogue.under_way()):
            self._lose(held, "the server closed the connection")
            return
        if dialogue.pending:
            self._reply(held)
        if dialogue.room:
            if held.opening:
                self._pool.opened(held)
            elif self._due and not held.free:
                self._send(held)
            else:
                self._pool.put(held)

    def _reply(self, held: Held) -> None:
        """Sends what the dialogue has to say by itself."""
        data, held.dialogue.pending = held.dialogue.pending, b""
        if data:
            held.link.push(held.link.seal(data))
            self._pool.watch_for(held)

    def _lose(self, held: Held, error: object) -> None:
        """A connection is no more. Requests are sent again if the kernel had taken nothing of them."""
        if held.link.fileno not in self._pool.held:
            return
        self._pool.drop(held, error)
        if held.watching:
            self._watch_again(told(error))
            return
        again = held.latest if held.link.untouched else []
        for number in reversed(held.dialogue.under_way()):
            if number in again:
                self._sent[number] = None
                self._due.appendleft(number)
            else:
                self._over += 1

    def _watch_again(self, why: str) -> None:
        """An API server ends a watch that it finds slow. A new one begins with what is there."""
        if not self._rewatch or self._rewatched == _MOST_REWATCHED:
            self._watch_ended = self._watch_ended or f"ended: {why}"
            return
        self._rewatched += 1
        self._events = Events()
        self._watch = Answer(self._events.feed)
        try:
            self._pool.add(self._server.open(HTTP1), OneByOne(), watching=True)
        except OSError as error:
            self._watch_ended = f"ended: {why}, and cannot be opened again: {told(error)}"

    def _deliver(self, held: Held, data: bytes, at: int) -> None:
        ended = data and self._watch.feed(data)
        try:
            for kind, name in self._events.take():
                if name and name not in self._told:
                    self._told[name] = (at, kind)
        except (ValueError, LookupError, TypeError) as error:
            self._lose(held, f"it told {error}")
            return
        if ended or held.link.over:
            self._lose(held, "the server ended it")

    # After the end

    def _outcome(self, began: int, ended: int, ahead: int, processor: int) -> Outcome:
        intended = self._sent if self._closed else self._intended
        sent = [
            Sent(request.name, request.method, (intended[number] or ended) + ahead,
                 _moved(self._sent[number], ahead), _moved(self._answered[number], ahead),
                 self._status[number])
            for number, request in enumerate(self._plan.requests)
        ]  # fmt: skip
        return Outcome(
            began_ns=began + ahead,
            ended_ns=ended + ahead,
            clock_shift_ns=clock.ahead_ns() - ahead,
            connections=self._pool.used,
            loop=self._plan.loop,
            reconnected=self._pool.reconnected,
            rewatched=self._rewatched,
            processor_ns=processor,
            missing=self._missing(),
            sent=sent,
            delivered=[Delivered(name, at + ahead, kind) for name, (at, kind) in self._told.items()],
        )

    def _missing(self) -> str:
        lacks = []
        if unsent := self._sent.count(None):
            lacks.append(f"{unsent} of {len(self._sent)} requests were not sent")
        if unanswered := self._answered.count(None) - unsent:
            lacks.append(f"{unanswered} of {len(self._sent)} requests were sent and not answered")
        if len(self._told) < self._plan.deliveries:
            found = f"the watch told of {len(self._told)} of {self._plan.deliveries} names"
            lacks.append(f"{found}, and {self._watch_ended}" if self._watch_ended else found)
        if not lacks:
            return ""
        trouble = f"; last trouble with a connection: {self._pool.trouble}" if self._pool.trouble else ""
        return f"within {self._plan.within_s:g} s {'; '.join(lacks)}{trouble}"


def _moved(at: int | None, ahead: int) -> int | None:
    return None if at is None else at + ahead


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise PlanError(
            f"a load's connections: {wanted - _FILES} are wanted, but this host lets a process open"
            f" {hard} files; take fewer, or raise `ulimit -Hn`"
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
