"""The connections of a load: opened ahead and when wanted, replaced when they break."""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from kubewitness.clusters.errors import ClusterError
from kubewitness.load import clock
from kubewitness.load.dialogues import Dialogue
from kubewitness.load.links import Address, Link, TlsLink, context
from kubewitness.load.plan import HTTP1, Plan, PlanError

#: After a connection that could not be opened, the next is tried so much later.
AGAIN_NS: Final = 20_000_000


class Ended(Exception):
    """Somebody ended the load before it was over: who."""


class Server:
    """Where a plan's server is, and how it is spoken to. PlanError for one that cannot be."""

    def __init__(self, plan: Plan) -> None:
        parts = urlsplit(plan.server)
        try:
            port = parts.port
        except ValueError as error:
            raise PlanError(f"a load's server: {plan.server!r}: {error}") from error
        if not parts.hostname or not port:
            raise PlanError(f"a load's server: wanted a host and a port, found {plan.server!r}")
        self.url, self.host, self.netloc = plan.server, parts.hostname, parts.netloc
        self._protocol = plan.protocol
        self._tls: dict[str, ssl.SSLContext] = {}
        if parts.scheme == "https":
            self._tls = {each: _context(plan, each) for each in {plan.protocol, HTTP1}}
        self._sessions: dict[str, ssl.SSLSession] = {}
        try:
            found = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise self.unreachable(error) from error
        self._address: Address = found[0][0], found[0][4]

    def open(self, protocol: str = "") -> Link:
        """Of the plan's protocol, or of another."""
        if not self._tls:
            return Link(self._address)
        protocol = protocol or self._protocol
        session = self._sessions.get(protocol)
        return TlsLink(self._address, self._tls[protocol], self.host, session, protocol)

    def keep_session(self, link: Link, protocol: str = "") -> None:
        """The next connections of TLS resume this one's session."""
        protocol = protocol or self._protocol
        if protocol in self._tls and protocol not in self._sessions and isinstance(link, TlsLink):
            session = link.session
            if session:
                self._sessions[protocol] = session

    def unreachable(self, error: object) -> ClusterError:
        return ClusterError(
            f"the load's server {self.url} cannot be reached: {told(error)};"
            " is it up, and are the plan's address and certificates its own?"
        )


def _context(plan: Plan, protocol: str) -> ssl.SSLContext:
    files = [str(each) if each else None for each in (plan.authority, plan.certificate, plan.key)]
    try:
        return context(protocol, *files)
    except OSError as error:
        raise PlanError(f"a load's certificates {', '.join(filter(None, files))}: {told(error)}") from error


def told(error: object) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)


class Held:
    """A link of the pool, what is said on it, and what epoll watches it for."""

    __slots__ = ("dialogue", "free", "latest", "link", "mask", "opening", "watching")

    def __init__(self, link: Link, dialogue: Dialogue, *, watching: bool = False) -> None:
        self.link = link
        self.dialogue = dialogue
        self.mask = select.EPOLLOUT
        self.opening = True
        self.free = False
        #: The requests that were sent last, together.
        self.latest: list[int] = []
        self.watching = watching


class Pool:
    """At most ``most`` connections for requests, ``ahead`` of them always, and as many more as are wanted."""

    def __init__(
        self, server: Server, waiting: clock.Waiting, most: int, ahead: int, dialogue: Callable[[], Dialogue]
    ) -> None:
        self.server = server
        self._dialogue = dialogue
        self._waiting = waiting
        self._most, self._ahead = most, min(ahead, most)
        self.held: dict[int, Held] = {}
        self.free: list[Held] = []
        self.used = 0
        self.reconnected = 0
        #: How many were lost and not replaced yet.
        self.broken = 0
        #: Why a connection could last not be opened or was lost.
        self.trouble = ""
        self._size = 0  # of those for requests
        self._opening = 0
        self._again_at = 0
        self._dropped: list[Held] = []

    @property
    def complete(self) -> bool:
        """Those that are to be open ahead are."""
        return len(self.free) >= self._ahead

    def want(self, requests: int) -> None:
        """Opens connections for so many requests that wait, and those that are to be there in any case."""
        while self._lacks(requests) and clock.now() >= self._again_at:
            self._open()

    def _lacks(self, requests: int) -> bool:
        return self._size < self._most and (self._opening < requests or self._size < self._ahead)

    def again_at(self, requests: int, otherwise: int) -> int:
        """When ``want`` is to be asked again, because one could not be opened; ``otherwise`` if none."""
        if self.trouble and self._lacks(requests):
            return min(self._again_at, otherwise)
        return otherwise

    def _open(self) -> None:
        try:
            self.add(self.server.open(), self._dialogue())
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL}:
                self._most = self._size  # there are no more to be had
            self._failed(error)
            return
        self._size += 1
        self._opening += 1
        self.used += 1
        if self.broken:
            self.broken -= 1
            self.reconnected += 1

    def add(self, link: Link, dialogue: Dialogue, *, watching: bool = False) -> Held:
        """Takes one in that is being opened. The one with the watch counts among nothing."""
        held = Held(link, dialogue, watching=watching)
        self.held[link.fileno] = held
        self._waiting.register(link.fileno, held.mask)
        return held

    def _failed(self, error: object) -> None:
        self.trouble = told(error)
        self._again_at = clock.now() + AGAIN_NS

    def watch_for(self, held: Held) -> None:
        """Lets epoll tell of what the link waits for now."""
        mask = select.EPOLLIN if held.link.connected else select.EPOLLOUT
        if held.link.unsent:
            mask |= select.EPOLLOUT
        if mask != held.mask:
            held.mask = mask
            self._waiting.modify(held.link.fileno, mask)

    def opened(self, held: Held) -> None:
        held.opening = False
        self._opening -= 1
        self.put(held)

    def put(self, held: Held) -> None:
        """It has room for requests."""
        if not held.free:
            held.free = True
            self.free.append(held)

    def take(self) -> Held:
        held = self.free.pop()
        held.free = False
        return held

    def drop(self, held: Held, error: object) -> None:
        """Gives one up, whatever it was doing. It is closed by ``bury``."""
        del self.held[held.link.fileno]
        self._waiting.unregister(held.link.fileno)
        self._dropped.append(held)
        if held.free:
            self.free.remove(held)
            held.free = False
        if not held.watching:
            self._size -= 1
        if held.watching:
            self.trouble = told(error)
        elif held.opening:
            self._opening -= 1
            self._failed(error)
        else:
            self.trouble = told(error)
            self.broken += 1

    def bury(self) -> None:
        """Closes what was dropped. Until then no new link has its number, which events still in hand name."""
        while self._dropped:
            self._dropped.pop().link.close()

    def close(self) -> None:
        self.bury()
        for held in self.held.values():
            held.link.close()
