"""Kubewitness and tshark say the same of the same packets: method, path, status, stream and body of messages.

Of packets that were moved, doubled or cut in overlapping ones ours must be what tshark has of them before
(its own are fewer then); of those left after losses, none that the whole capture does not show.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.capture.files import CaptureFile
from kubewitness.capture.reading import KEYS_FILE
from kubewitness.wire.packet import segment
from kubewitness.wire.tls import KeyLog
from tests.reference import ours, tshark
from tests.wire.grpc_traffic import Side, client_start, data, header, txn
from tests.wire.test_decoder import traffic
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import Talk, proto, request, response

_MOST_PACKETS = 10_000
Frames = list[bytes]


def write(file: Path, frames: Frames) -> Path:
    """A pcap file, a packet a second."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    records = [
        struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame for number, frame in enumerate(frames)
    ]
    file.write_bytes(head + b"".join(records))
    return file


def beginning(evidence: Path) -> Frames:
    frames: Frames = []
    with evidence.open("rb") as file:
        packets = CaptureFile(file, str(evidence))
        while len(frames) < _MOST_PACKETS and (packet := packets.next()) is not None:
            frames.append(packet.data)
    return frames


def equal(changed: Path, whole: Path, keys: Path | None = None) -> int:
    """Compares both protocols; returns how many messages there were."""
    log = KeyLog()
    if keys:
        log.learn(keys.read_text())
    count = 0
    for protocol in ("http1", "http2") if not keys else ("http2",):
        mine = Counter(getattr(ours, protocol)(changed, log if keys else None))
        theirs = Counter(getattr(tshark, protocol)(whole, keys))
        assert mine - theirs == Counter(), f"{protocol}: only ours"
        assert theirs - mine == Counter(), f"{protocol}: only tshark's"
        count += mine.total()
    return count


def moved(frames: Frames, chance: random.Random) -> Frames:
    """Each packet that carries bytes up to three places later."""
    places = [
        number + chance.randrange(4) if (found := segment(frame)) and found.payload else number
        for number, frame in enumerate(frames)
    ]
    return [frames[number] for number in sorted(range(len(frames)), key=lambda number: places[number])]


def doubled(frames: Frames, chance: random.Random) -> Frames:
    return [frame for frame in frames for _ in range(1 + (chance.random() < 0.2))]


def cut(frames: Frames, chance: random.Random) -> Frames:
    """Segments in two, the second of which repeats some of the first."""
    made: Frames = []
    for frame in frames:
        found = segment(frame)
        if found is None or len(found.payload) < 2 or frame[12:14] != b"\x08\x00":
            made.append(frame)
            continue
        start = len(frame) - len(found.payload)
        middle = chance.randrange(1, len(found.payload))
        again = chance.randrange(middle)
        made += [shortened(frame, start, 0, middle), shortened(frame, start, again, len(found.payload))]
    return made


def shortened(frame: bytes, start: int, low: int, high: int) -> bytes:
    """The packet with only these bytes of its payload, which begins at ``start``."""
    made = bytearray(frame[:start] + frame[start + low : start + high])
    made[16:18] = (len(made) - 14).to_bytes(2, "big")
    at = 14 + (made[14] & 15) * 4 + 4
    made[at : at + 4] = (int.from_bytes(made[at : at + 4], "big") + low & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(made)


MUTATIONS: dict[str, Callable[[Frames, random.Random], Frames]] = {
    "as-it-is": lambda frames, _: frames, "moved": moved, "doubled": doubled, "cut": cut,
}  # fmt: skip


def etcd(calls: int) -> Frames:
    talk, client, server = Talk(port=2379, client_port=41000), Side(), Side()
    frames = talk.open() + talk.ask(client_start())
    for number in range(calls):
        stream = 2 * number + 1
        call = client.call(
            stream, "/etcdserverpb.KV/Txn", txn(f"/registry/pods/d/p{number}", b"x" * number, 0)
        )
        frames += talk.ask(call, range(0, len(call), 61))
        frames += talk.answer(server.answer(stream, proto((1, header(number + 2)), (2, 1))), [20, 30])
    return frames + talk.close()


def api(calls: int) -> Frames:
    talk = Talk()
    frames = talk.open()
    for number in range(calls):
        body = b'{"metadata":{"name":"p%d"},"x":"%s"}' % (number, b"y" * 7 * number)
        asked = request("POST", f"/api/v1/namespaces/a%20b/pods?n={number}", body)
        frames += talk.ask(asked, range(0, len(asked), 97))
        frames += talk.answer(response(201 + number % 2, body), [30, 40])
    return frames + talk.close()


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_made_up_traffic(
    tmp_path: Path, mutate: Callable[[Frames, random.Random], Frames], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - which packets, no secret
    frames = etcd(40) + api(40)
    whole = write(tmp_path / "whole.pcap", frames)
    assert equal(write(tmp_path / "changed.pcap", mutate(frames, chance)), whole) == 160


def test_a_small_cluster(tmp_path: Path) -> None:
    capture = write(tmp_path / "x.pcap", traffic())
    assert equal(capture, capture) == 5


@pytest.mark.parametrize("seed", range(5))
def test_of_a_capture_with_losses_nothing_is_told_that_was_not_said(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - which packets, no secret
    whole = etcd(40) + api(40)
    capture = write(tmp_path / "x.pcap", whole)
    said = Counter(tshark.http1(capture)) + Counter(tshark.http2(capture))
    lossy = write(tmp_path / "y.pcap", [frame for frame in whole if chance.random() > 0.01])
    told = Counter(ours.http1(lossy)) + Counter(ours.http2(lossy))
    assert told - said == Counter()


def test_http2_under_tls(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    said, client, server = ends.connect(Talk(port=6443)), Side(), Side()
    said.say(client_start(), to_server=True)
    for number in range(20):
        stream, body = 2 * number + 1, b'{"kind":"Pod","n":%d}' % number
        path = f"/api/v1/namespaces/d/pods/p{number}"
        listed = [(":method", "PATCH"), (":scheme", "https"), (":path", path), (":authority", "k")]
        said.say(client.headers(stream, listed) + data(stream, body, ends=True), to_server=True)
        answer = server.headers(stream, [(":status", "200")])
        said.say(answer + data(stream, body, ends=True), to_server=False)
    capture = write(tmp_path / "x.pcap", said.packets)
    mine, theirs = ours.http2(capture, ends.keys()), tshark.http2(capture, ends.log)
    assert Counter(mine) == Counter(theirs)
    assert len(mine) == 40


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_the_evidence_of_runs(
    tmp_path: Path, evidence: Path, mutate: Callable[[Frames, random.Random], Frames]
) -> None:
    chance = random.Random(1)  # noqa: S311 - which packets, no secret
    frames = beginning(evidence)
    whole, changed = write(tmp_path / "whole.pcap", frames), mutate(frames, chance)
    log = evidence.with_name(KEYS_FILE)
    keys = log if log.exists() else None
    count = equal(write(tmp_path / "changed.pcap", changed), whole, keys)
    assert count > 100 or (evidence.parent.name.startswith("tls") and not keys)


def test_keys_are_read_alike(tmp_path: Path) -> None:
    """An empty key log opens nothing, on either side."""
    said = Ends(tmp_path).connect(Talk(port=6443))
    said.say(client_start(), to_server=True)
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"")
    capture = write(tmp_path / "x.pcap", said.packets)
    assert ours.http2(capture, KeyLog()) == tshark.http2(capture, empty) == []
