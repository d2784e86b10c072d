"""Every decoder as a function of bytes: it returns, or raises the one error that it may.

Bytes are cut into steps by their own content, so that a fuzzer can choose borders, directions and order, too.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator

from kubewitness.capture.files import BrokenCapture, CaptureFile
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.observation import UNKNOWN, Observation
from kubewitness.wire.cbor import Sequence, parsed_cbor
from kubewitness.wire.content import CBOR, CBOR_SEQUENCE, JSON, PROTOBUF, YAML, body_object, body_operations
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.etcd_messages import EtcdReader
from kubewitness.wire.etcd_services import _PLANS
from kubewitness.wire.grpc import MessageStream
from kubewitness.wire.http1 import MessageReader, Piece
from kubewitness.wire.http2 import Http2Conversation
from kubewitness.wire.opening import Opening
from kubewitness.wire.packet import LINKS, segment
from kubewitness.wire.spans import Span
from kubewitness.wire.tls import KeyLog, TlsConversation
from kubewitness.wire.towards import Towards
from kubewitness.wire.watch import WatchStream
from kubewitness.wire.yaml_text import parsed_yaml
from tests.reference.ours import Recorder
from tests.wire.traffic import API, API_TLS, ETCD, Talk

_LINKS = sorted(LINKS)
_ENDS = (("10.0.0.1", 1), ("10.0.0.2", 2))
_METHODS = tuple(
    f"/etcdserverpb.{method}"
    for method in ("KV/Range", "KV/Txn", "Lease/LeaseGrant", "KV/Put", *sorted(_PLANS))
)
#: Of the secrets in it a fuzzer knows all, so that it may write records that open.
_SECRETS = "\n".join(
    f"{label} {'00' * 32} {'11' * 32}"
    for label in (
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "CLIENT_RANDOM",
    )
)  # fmt: skip


def steps(data: bytes) -> Iterator[tuple[int, bytes]]:
    """A number below 256, a length below 256, and that many bytes, as often as there are some."""
    at = 0
    while at + 2 <= len(data):
        number, length = data[at], data[at + 1]
        yield number, data[at + 2 : at + 2 + length]
        at += 2 + length


def _towards(number: int) -> Towards:
    return Towards.CLIENT if number & 1 else Towards.SERVER


def files(data: bytes) -> None:
    learnt: list[str] = []
    file = CaptureFile(io.BytesIO(data), "x", learnt.append)
    while (packet := file.next()) is not None:
        assert len(packet.data) <= len(data)
    assert file.packets <= len(data)


def packets(data: bytes) -> None:
    decoder = Decoder(frozenset({API}), frozenset({ETCD}), lambda *_: UNKNOWN)
    for frame, (link, content) in enumerate(steps(data), 1):
        decoder.feed(frame, frame, content, _LINKS[link % len(_LINKS)])
    decoder.finish(CaptureStatistics(0, 0, ()))


def connection(data: bytes) -> None:
    """One connection: the first byte chooses what its server is, each step its direction and place."""
    port = (API, ETCD, API_TLS)[data[0] % 3] if data else API
    talk = Talk(port=port)
    decoder = Decoder(frozenset({API, API_TLS}), frozenset({ETCD}), lambda *_: UNKNOWN, _keys())
    seen: list[Observation] = []
    frames = talk.open()
    for number, content in steps(data[1:]):
        to_server, back = not number & 1, number >> 1 & 63
        if number & 128:
            frames += talk.say(content, to_server=to_server)
        else:
            frames.append(talk.raw(16, content, to_server=to_server, at=max(0, talk.sent[to_server] - back)))
    for frame, content in enumerate([*frames, *talk.close()], 1):
        seen += decoder.feed(frame, frame, content)
    found = decoder.finish(CaptureStatistics(len(frames), 0, ()))
    assert len(found.observations) == len(seen)


def http1(data: bytes) -> None:
    reader = MessageReader()
    given = told = 0
    for number, content in steps(data):
        reader.append(content, Span(0, 0, 0, 0))
        given += len(content)
        while (part := reader.next(("", "GET", "HEAD")[number % 3])) is not None:
            told += len(part.data) if isinstance(part, Piece) else 0
    assert told <= given


def http2(data: bytes) -> None:
    conversation = Http2Conversation(Recorder(_ENDS, []))
    for number, content in steps(data):
        conversation.data(_towards(number), content, Span(0, 0, 0, 0))


def grpc(data: bytes) -> None:
    stream = MessageStream()
    stream.encoding = "gzip"
    for _, content in steps(data):
        stream.append(content, Span(0, 0, 0, 0))
        for _ in stream.messages():
            pass


def etcd(data: bytes) -> None:
    problems: list[str] = []
    method = _METHODS[data[0] % len(_METHODS)] if data else _METHODS[0]
    reader = EtcdReader(problems.append)
    for read in (reader.call, reader.answer, lambda _, content: reader.changes(content)):
        try:
            read(method, data[1:])
        except DecodeError:
            continue


def _keys() -> KeyLog:
    keys = KeyLog()
    keys.learn(_SECRETS)
    return keys


class _Nobody:
    def data(self, *_: object) -> None: ...

    def end(self, *_: object) -> None: ...


def tls(data: bytes) -> None:
    conversation = TlsConversation(_keys(), Opening(lambda _: _Nobody()))
    for number, content in steps(data):
        conversation.data(_towards(number), content, Span(0, 0, 0, 0))


def bodies(data: bytes) -> None:
    for kind in (PROTOBUF, JSON, CBOR, YAML, "application/json-patch+json"):
        try:
            body_object(kind, data)
            body_operations(kind, data)
        except DecodeError:
            continue


def cbor(data: bytes) -> None:
    """What is read is JSON, and a sequence of it is cut where it ends."""
    value = parsed_cbor(data)
    json.dumps(value, allow_nan=False)
    sequence = Sequence(len(data))
    half = len(data) // 2
    found = sequence.feed(data[:half]) + sequence.feed(data[half:] + data)
    assert found == [len(data)] * 2


def yaml(data: bytes) -> None:
    began = time.process_time()
    try:
        json.dumps(parsed_yaml(data), allow_nan=False)
    finally:
        assert time.process_time() - began < 5


def watch(data: bytes) -> None:
    for kind, encoding in ((PROTOBUF, ""), (JSON, "gzip"), (CBOR_SEQUENCE, "")):
        try:
            _watch(WatchStream(kind, encoding), data)
        except DecodeError:
            continue


def _watch(stream: WatchStream, data: bytes) -> None:
    given = told = 0
    for _, content in steps(data):
        stream.append(Piece(content, Span(0, 0, 0, 0)))
        given += len(content)
        for event, _ in stream.frames():
            told += len(event)
            stream.event(event)
    assert told <= max(given, 1) * 1032  # no more than deflate can make of it


def frames(data: bytes) -> None:
    for link in _LINKS:
        found = segment(data, link)
        assert found is None or len(found.payload) <= len(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        files,
        packets,
        connection,
        http1,
        http2,
        grpc,
        etcd,
        tls,
        bodies,
        cbor,
        yaml,
        watch,
        frames,
    )
}


def run(target: str, data: bytes) -> None:
    """Raises only what is no decoder's business."""
    try:
        TARGETS[target](data)
    except (DecodeError, BrokenCapture):
        return
