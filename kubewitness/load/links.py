"""Connections that never wait: plain TCP, and TLS over it. One owner asks them when epoll says so."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

_SIZE: Final = 1 << 16
#: What a connection under way answers to.
_UNDER_WAY: Final = (0, errno.EINPROGRESS)
Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class Link:
    """A TCP connection to ``address``. Whatever is wrong with it is raised as OSError."""

    def __init__(self, address: Address) -> None:
        family, place = address
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = sock.fileno()
        #: It can take requests.
        self.ready = False
        #: Bytes that the kernel did not take yet.
        self.unsent = b""
        #: The kernel took nothing of what was sealed last.
        self.untouched = True
        #: The server will say no more.
        self.over = False
        self._connected = False
        if (code := sock.connect_ex(place)) not in _UNDER_WAY:
            sock.close()
            raise OSError(code, os.strerror(code))

    def close(self) -> None:
        self._sock.close()

    def advance(self) -> None:
        """Goes on with being opened, after an event; see ``ready``."""
        if not self._connected:
            if code := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, os.strerror(code))
            self._connected = True
        self._opened()

    @property
    def connected(self) -> bool:
        """Whether an event can be of anything but the TCP connection's own opening."""
        return self._connected

    def _opened(self) -> None:
        self.ready = True

    def seal(self, data: bytes) -> bytes:
        """What is to be pushed to have ``data`` sent."""
        self.untouched = True
        return data

    def push(self, data: bytes) -> None:
        """Sends, or keeps as ``unsent``, which is pushed by ``flush``."""
        self.unsent += data
        self.flush()

    def flush(self) -> None:
        try:
            taken = self._sock.send(self.unsent)
        except BlockingIOError:
            return
        self.untouched = False
        self.unsent = self.unsent[taken:]

    def receive(self) -> bytes:
        """What has arrived; nothing if it is not of the application, or if the connection is ``over``."""
        try:
            data = self._sock.recv(_SIZE)
        except BlockingIOError:
            return b""
        self.over = not data
        return data


class TlsLink(Link):
    """The same by TLS. ``session`` is that of an earlier one to the same server, which is then resumed."""

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        host: str,
        session: ssl.SSLSession | None,
        protocol: str,
    ) -> None:
        self._protocol = protocol
        # Records go through memory: one read of the kernel's may have several, and each takes OpenSSL two.
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host, session=session)
        super().__init__(address)

    @property
    def session(self) -> ssl.SSLSession | None:
        """For others to resume; None until the server gave a ticket."""
        found = self._tls.session
        return found if found and found.has_ticket else None

    def _opened(self) -> None:
        if data := super().receive():
            self._arrived.write(data)
        elif self.over:
            raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection")
        try:
            self._tls.do_handshake()
            self.ready = True
            if (spoken := self._tls.selected_alpn_protocol() or "http/1.1") != self._protocol:
                raise ConnectionAbortedError(
                    errno.ECONNABORTED, f"the server speaks {spoken}, not {self._protocol}"
                )
        except ssl.SSLWantReadError:
            pass
        finally:
            if self._leaving.pending:
                self.push(self._leaving.read())

    def seal(self, data: bytes) -> bytes:
        self.untouched = True
        self._tls.write(data)
        return self._leaving.read()

    def receive(self) -> bytes:
        data = super().receive()
        if not data:
            return data
        self._arrived.write(data)
        found = b""
        try:
            while part := self._tls.read(_SIZE):
                found = found + part if found else part
                if not self._arrived.pending and not self._tls.pending():
                    break
            else:
                self.over = True  # said so by TLS
        except ssl.SSLWantReadError:
            pass
        if self._leaving.pending:
            self.push(self._leaving.read())
        return found


def context(protocol: str, authority: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """One that offers that protocol. Raises OSError if a file cannot be read, or (ssl.SSLError) is none."""
    made = ssl.create_default_context(cafile=authority)
    made.set_alpn_protocols([protocol])
    if certificate:
        made.load_cert_chain(certificate, key)
    return made
