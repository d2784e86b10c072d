"""Made-up conversations with etcd: frames by hyperframe, headers by hpack."""

from __future__ import annotations

import hpack
from hyperframe import frame as h2

from kubewitness.wire.http2 import PREFACE
from tests.wire.traffic import proto


def message(content: bytes, *, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(content).to_bytes(4, "big") + content


def data(stream: int, content: bytes, *, ends: bool = False, pad: int = 0) -> bytes:
    frame = h2.DataFrame(stream, content)
    if ends:
        frame.flags.add("END_STREAM")
    if pad:
        frame.flags.add("PADDED")
        frame.pad_length = pad
    return frame.serialize()


def settings(table_size: int | None = None, *, ack: bool = False) -> bytes:
    frame = h2.SettingsFrame(0)
    if ack:
        frame.flags.add("ACK")
    if table_size is not None:
        frame.settings = {h2.SettingsFrame.HEADER_TABLE_SIZE: table_size}
    return frame.serialize()


class Side:
    """One end's frames, with the compression state that they need."""

    def __init__(self) -> None:
        self.encoder = hpack.Encoder()

    def headers(
        self, stream: int, listed: list[tuple[str, str]], *, ends: bool = False, pieces: int = 1, pad: int = 0
    ) -> bytes:
        block = self.encoder.encode(listed)
        size = -(-len(block) // pieces)
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        first = h2.HeadersFrame(stream, parts[0])
        if ends:
            first.flags.add("END_STREAM")
        if pad:
            first.flags.add("PADDED")
            first.pad_length = pad
        frames: list[h2.HeadersFrame | h2.ContinuationFrame] = [first]
        frames += [h2.ContinuationFrame(stream, part) for part in parts[1:]]
        frames[-1].flags.add("END_HEADERS")
        return b"".join(frame.serialize() for frame in frames)

    def call(self, stream: int, method: str, *contents: bytes, encoding: str = "", pieces: int = 1) -> bytes:
        listed = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "127.0.0.1:2379"),
            ("content-type", "application/grpc"),
        ]
        if encoding:
            listed.append(("grpc-encoding", encoding))
        head = self.headers(stream, listed, pieces=pieces)
        body = b"".join(message(content, compressed=bool(encoding)) for content in contents)
        return head + data(stream, body, ends=True)

    def answer(self, stream: int, *contents: bytes, status: str = "0", encoding: str = "") -> bytes:
        listed = [(":status", "200"), ("content-type", "application/grpc")]
        if encoding:
            listed.append(("grpc-encoding", encoding))
        body = b"".join(message(content, compressed=bool(encoding)) for content in contents)
        return self.headers(stream, listed) + data(stream, body) + self.trailers(stream, status)

    def trailers(self, stream: int, status: str = "0") -> bytes:
        return self.headers(stream, [("grpc-status", status), ("grpc-message", "")], ends=True)


def client_start() -> bytes:
    return PREFACE + settings()


def header(revision: int) -> bytes:
    return proto((1, 11), (2, 22), (3, revision), (4, 2))


def key_value(key: str, revision: int, value: bytes = b"", created: int = 3, version: int = 1) -> bytes:
    return proto((1, key), (2, created), (3, revision), (4, version), (5, value))


def put(key: str, value: bytes) -> bytes:
    return proto((1, key), (2, value))


def guard(key: str, mod_revision: int) -> bytes:
    """A compare: the key's mod revision equals this one."""
    return proto((1, 0), (2, 2), (3, key), (6, mod_revision))


def txn(key: str, value: bytes, mod_revision: int) -> bytes:
    """What an API server sends to update an object: put if unchanged, else read."""
    success = proto((2, put(key, value)))
    failure = proto((1, proto((1, key))))
    return proto((1, guard(key, mod_revision)), (2, success), (3, failure))
