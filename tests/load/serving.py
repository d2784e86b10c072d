"""A server of HTTP/1.1 that does as it is told, on a port of its own: real sockets, a thread a connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Answers = Callable[["Exchange"], None]
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


class Exchange:
    """One request, and the connection that it came on."""

    def __init__(self, server: Server, connection: socket.socket, head: str, body: bytes) -> None:
        self.server = server
        self.connection = connection
        self.head, self.body = head, body
        #: Whether its TLS went on where an earlier connection was.
        self.resumed = isinstance(connection, ssl.SSLSocket) and bool(connection.session_reused)
        self.method, self.path, _ = head.split("\n", 1)[0].split(" ")

    def send(self, data: bytes = OK) -> None:
        self.connection.sendall(data)


class Server:
    """What it was asked is in ``asked``; ``opened`` counts connections."""

    def __init__(self, answers: Answers, context: ssl.SSLContext | None) -> None:
        self._answers = answers
        self._context = context
        self.news = threading.Condition()
        self.asked: list[Exchange] = []
        self.opened = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def wait_until(self, condition: Callable[[Server], bool]) -> None:
        """Called by answers: returns when it holds of what was asked so far."""
        with self.news:
            assert self.news.wait_for(lambda: condition(self), 30)

    def close(self) -> None:
        """When the client has gone."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self.news:
                self.opened += 1
                self.news.notify_all()
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as received:
                for exchange in self._exchanges(connection, received):
                    with self.news:
                        self.asked.append(exchange)
                        self.news.notify_all()
                    self._answers(exchange)
        except OSError:
            connection.close()  # the client was done

    def _exchanges(self, connection: socket.socket, received: BinaryIO) -> Iterator[Exchange]:
        while lines := _head(received):
            length = next((int(each[16:]) for each in lines if each.startswith("Content-Length: ")), 0)
            yield Exchange(self, connection, "\n".join(lines), received.read(length))


def _head(received: BinaryIO) -> list[str]:
    lines = []
    while (line := received.readline().decode()) not in {"", "\r\n"}:
        lines.append(line.strip())
    return lines


@contextmanager
def serving(answers: Answers, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(answers, context)
    try:
        yield server
    finally:
        server.close()


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
