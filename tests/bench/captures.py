"""Captures that every peer is measured on: made up here, or real ones cut to what all of them can read."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from kubewitness.capture.files import CaptureFile
from kubewitness.wire.packet import segment
from tests.wire.traffic import API, Talk, chunked, request, response, watch_head

SEGMENT = 1448
#: scapy does not know PATCH.
_METHODS = ("GET", "GET", "GET", "POST", "PUT")
#: What client-go and an API server add.
_ASKS = (
    "User-Agent: kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/abcdef0\r\n"
    "Accept: application/json, */*\r\nAccept-Encoding: gzip\r\n"
)
_ANSWERS = (
    "Audit-Id: 0f6b2b0a-8f0e-4b44-9c39-5b1b2f7f3a10\r\nCache-Control: no-cache, private\r\n"
    "X-Kubernetes-Pf-Flowschema-Uid: 1d3a1f34-7b1c-4a64-8d3f-5ad2a3a6d9b5\r\n"
    "X-Kubernetes-Pf-Prioritylevel-Uid: 5b2f7f3a-7b1c-4a64-8d3f-1d3a1f345ad2\r\n"
    "Date: Wed, 25 Nov 2026 12:00:00 GMT\r\n"
)


def write(file: Path, frames: Iterable[bytes]) -> Path:
    """A pcap file in nanoseconds, a packet each 10 microseconds, time zero being 2001-09-09."""
    with file.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1))
        for number, frame in enumerate(frames):
            seconds, part = divmod(number * 10_000, 1_000_000_000)
            size = len(frame)
            out.write(struct.pack("<IIII", 1_000_000_000 + seconds, part, size, size) + frame)
    return file


def pod(number: int, size: int) -> bytes:
    """A Pod's JSON of about ``size`` bytes."""
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number}"},
        "spec": {
            "containers": [{"name": "main", "image": "registry/pause:3", "args": ["x" * 20] * (size // 24)}]
        },
    }
    return json.dumps(pod).encode()


def exchanges(packets: int, connections: int = 20) -> tuple[list[bytes], list[tuple[bool, bytes]]]:
    """HTTP/1.1 of an API server in about as many packets: connections side by side, bodies of up to 6 kB.

    Returns the packets, and the bytes of each message, of which it is told whether it is a request.
    """
    chance = random.Random(1)  # noqa: S311 - the same capture each time
    talks = [Talk(client_port=40_000 + number) for number in range(connections)]
    frames = [frame for talk in talks for frame in talk.open()]
    messages = []
    number = 0
    while len(frames) < packets:
        number += 1
        talk = talks[number % connections]
        method = chance.choice(_METHODS)
        body = pod(number, chance.randrange(200, 3000)) if method in ("POST", "PUT") else b""
        path = f"/api/v1/namespaces/default/pods/pod-{number}"
        for said, to_server in (
            (request(method, path, body, extra=_ASKS), True),
            (response(200, pod(number, chance.randrange(200, 6000)), extra=_ANSWERS), False),
        ):
            messages.append((to_server, said))
            for at in range(0, len(said), 2 * SEGMENT):
                frames += talk.say(said[at : at + 2 * SEGMENT], to_server=to_server, cuts=[SEGMENT])
                frames.append(talk.acknowledge(to_server=not to_server))
    return frames, messages


def whole(messages: list[tuple[bool, bytes]]) -> list[bytes]:
    """The same messages of one connection, each in a packet of its own, however long."""
    talk = Talk()
    return talk.open() + [
        frame for to_server, said in messages for frame in talk.say(said, to_server=to_server)
    ]


def plaintext(capture: Path, most: int) -> Iterator[bytes]:
    """The packets of a real capture that go to or come from the API server's port for HTTP/1.1."""
    ports = API.to_bytes(2, "big")
    with capture.open("rb") as file:
        packets = CaptureFile(file, str(capture))
        while most and (packet := packets.next()) is not None:
            found = segment(packet.data, packet.link)
            if found is not None and ports in (found.key[-4:-2], found.key[-2:]):
                most -= 1
                yield packet.data


def watch(size: int) -> Iterator[bytes]:
    """An open watch without end: an event of about ``size`` bytes a packet, each acknowledged."""
    talk = Talk()
    yield from talk.open()
    yield from talk.ask(request("GET", "/api/v1/pods?watch=1"))
    yield from talk.answer(watch_head())
    for number in count():
        event = b'{"type":"MODIFIED","object":%b}\n' % pod(number, size)
        yield from talk.answer(chunked([event], last=False))
        yield talk.acknowledge(to_server=True)
