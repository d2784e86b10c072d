"""A server of HTTP/2 that does as it is told, by hyperframe and hpack."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import hpack
from hyperframe import frame as h2

from kubewitness.load.dialogues import PREFACE


class Stream:
    """A request, whole."""

    def __init__(self, speaker: Speaker, number: int, headers: dict[str, str]) -> None:
        self.speaker, self.number, self.headers = speaker, number, headers
        self.body = b""

    def answer(self, status: int = 201, body: bytes = b"{}", *, trailers: bool = False) -> None:
        self.speaker.send(*self.answered(status, body, trailers=trailers))

    def answered(self, status: int = 201, body: bytes = b"{}", *, trailers: bool = False) -> list[h2.Frame]:
        def head(*headers: tuple[str, str], flags: list[str]) -> h2.Frame:
            return h2.HeadersFrame(self.number, self.speaker.encoder.encode(headers), flags=flags)

        last = [head(("t", "u"), flags=["END_HEADERS", "END_STREAM"])] if trailers else []
        return [
            head((":status", str(status)), ("x", "y"), flags=["END_HEADERS"]),
            h2.DataFrame(self.number, body, flags=[] if trailers else ["END_STREAM"]),
            *last,
        ]


class Speaker:
    """A connection of it. ``asked`` has the streams whose requests are whole."""

    def __init__(self, connection: socket.socket, answers: Callable[[Speaker], None]) -> None:
        self.connection = connection
        self.encoder = hpack.Encoder()
        self.encoder.header_table_size = 0
        self.asked: list[Stream] = []
        self.received: list[h2.Frame] = []
        self._answers = answers

    def send(self, *frames: h2.Frame) -> None:
        self.connection.sendall(b"".join(each.serialize() for each in frames))

    def run(self, received: BinaryIO, settings: dict[int, int]) -> None:
        assert received.read(len(PREFACE)) == PREFACE
        self.send(h2.SettingsFrame(settings=settings), h2.PingFrame(opaque_data=b"12345678"))
        decoder, streams = hpack.Decoder(), dict[int, Stream]()
        while head := received.read(9):
            found, length = h2.Frame.parse_frame_header(memoryview(head))
            found.parse_body(memoryview(received.read(length)))
            self.received.append(found)
            if isinstance(found, h2.HeadersFrame):
                headers = {str(name): str(value) for name, value in decoder.decode(found.data, raw=False)}
                streams[found.stream_id] = Stream(self, found.stream_id, headers)
            elif isinstance(found, h2.DataFrame):
                streams[found.stream_id].body += found.data
            if "END_STREAM" in found.flags:
                self.asked.append(streams[found.stream_id])
                self._answers(self)


@contextmanager
def serving_http2(
    answers: Callable[[Speaker], None], context: ssl.SSLContext, settings: dict[int, int] | None = None
) -> Iterator[tuple[str, list[Speaker]]]:
    """Its address, and the connections that it has had."""
    listening = socket.create_server(("127.0.0.1", 0))
    speakers: list[Speaker] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as tls, tls.makefile("rb") as received:
                speakers.append(Speaker(tls, answers))
                speakers[-1].run(received, settings or {})
        except OSError:
            connection.close()  # the client was done

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", speakers
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for each in threads:
            each.join()
        listening.close()
