"""Stored captures are read back whole, or refused with one clear message."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

from kubewitness.capture.files import Packet
from kubewitness.capture.reading import FILE, KEYS_FILE, BrokenEvidence, Reading, Sockets
from kubewitness.capture.storing import Store
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.observation import UNKNOWN, ApiRequest, Endpoint, Speaker
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import Talk, request

STATISTICS = CaptureStatistics(3, 0, ("lo",))


def write(directory: Path, count: int) -> Path:
    file = directory / "capture.pcapng"
    with PcapNgWriter(str(file)) as writer:
        for number in range(count):
            writer.write(Ether() / IP(dst="127.0.0.1") / TCP(dport=8080, sport=4000 + number, flags="S"))
    return file


def test_connections_are_found_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, 3)
    reading = Reading(tmp_path)
    history = reading.history(1, 3, STATISTICS)
    assert [each.client.port for each in history.connections] == [4000, 4001, 4002]
    reading.close()


def stored(directory: Path, count: int, lost: int) -> None:
    """A capture that tells what it lost."""
    frames = [bytes(Ether() / IP(dst="127.0.0.1") / TCP(sport=number, flags="S")) for number in range(count)]
    with closing(Store(directory / FILE, lost=lambda: lost)) as store:
        store.write([Packet(number, 1, frame, len(frame), "lo") for number, frame in enumerate(frames)])


@pytest.mark.parametrize("already", [0, 2, 5])
def test_what_a_capture_lost_is_missing_in_all_of_it(tmp_path: Path, already: int) -> None:
    stored(tmp_path, 3, lost=5)
    statistics = CaptureStatistics(3, already, ("lo",))
    with closing(Reading(tmp_path)) as reading:
        history = reading.history(1, 3, statistics)
        assert history.missing[0] == "the kernel dropped 5 packets besides 3"
        assert history.statistics.dropped == 5
        assert reading.missing(statistics) == history.missing
    with closing(Reading(tmp_path)) as reading:
        assert not list(reading.stream(1, 3))
        assert reading.missing(statistics) == history.missing


def test_what_a_capture_lost_later_is_not_missing_in_a_recording(tmp_path: Path) -> None:
    stored(tmp_path, 3, lost=5)
    with closing(Reading(tmp_path)) as reading:
        for last in (1, 2):
            assert reading.history(1, last, CaptureStatistics(last, 0, ("lo",))).statistics.dropped == 0
        assert len(reading.history(1, 2, STATISTICS).connections) == 2
        assert len(reading.history(1, 3, STATISTICS).connections) == 3
        assert reading.history(1, 3, STATISTICS).statistics.dropped == 5


def test_what_is_garbled_behind_a_recording_is_not_missing_in_it(tmp_path: Path) -> None:
    file = write(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:-4] + b"\xff" * 4)
    with closing(Reading(tmp_path)) as reading:
        assert reading.history(1, 2, CaptureStatistics(2, 0, ("lo",))).missing == ()
        with pytest.raises(BrokenEvidence, match="should hold 3 packets, but is garbled"):
            reading.history(1, 3, STATISTICS)


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:-40])
    reading = Reading(tmp_path)
    with pytest.raises(BrokenEvidence, match="should hold 3 packets, but ends after 2"):
        reading.history(1, 3, STATISTICS)
    reading.close()


def test_a_file_with_a_garbled_packet_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, 3)
    content = file.read_bytes()
    first = content.index(b"\x06\x00\x00\x00")  # the type of the block of a packet; its length follows
    file.write_bytes(content[: first + 4] + b"\xff" * 8 + content[first + 12 :])
    reading = Reading(tmp_path)
    with pytest.raises(
        BrokenEvidence, match=r"should hold 3 packets, but is garbled \(.*a block's length.*\) after 0"
    ):
        reading.history(1, 3, STATISTICS)
    reading.close()


def test_garbled_sockets_are_told(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "sockets.jsonl").write_text('{"time_ns": 5, "cli\n')
    reading = Reading(tmp_path)
    with pytest.raises(BrokenEvidence, match=r"sockets\.jsonl"):
        reading.history(1, 1, STATISTICS)
    reading.close()


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "ends after 0"), (b"no capture at all", "is no capture")]
)
def test_a_file_that_is_no_capture_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "capture.pcapng").write_bytes(content)
    reading = Reading(tmp_path)
    with pytest.raises(BrokenEvidence, match=told):
        reading.history(1, 1, STATISTICS)
    reading.close()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokenEvidence, match="is no readable capture"):
        Reading(tmp_path).history(1, 1, STATISTICS)


def test_speakers_come_from_the_sockets_of_that_time(tmp_path: Path) -> None:
    file = tmp_path / "sockets.jsonl"
    file.write_text(
        '{"time_ns": 5000000000, "client": ["10.0.0.1", 1], "server": ["10.0.0.2", 2],'
        ' "client_process": {"component": "kubectl", "pid": 7}, "server_process": null}\n'
    )
    sockets = Sockets(file)
    sockets.learn()
    client, server = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)
    assert sockets.speaker_of(client, server, 5_000_000_100) == Speaker("kubectl", 7)
    assert sockets.speaker_of(server, client, 5_000_000_100) == UNKNOWN
    # The same ports an hour later are another connection.
    assert sockets.speaker_of(client, server, 3_605_000_000_000) == UNKNOWN


def test_tls_is_opened_by_the_key_log_beside_the_capture(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    (tmp_path / KEYS_FILE).write_bytes(b"")
    ends.server.keylog_filename = str(tmp_path / KEYS_FILE)
    said = ends.connect(Talk(port=6443))
    said.say(request("GET", "/first"), to_server=True)
    file = tmp_path / "capture.pcapng"
    with PcapNgWriter(str(file)) as writer:
        for packet in said.packets:
            writer.write(Ether(packet))
    reading = Reading(tmp_path)
    found = reading.history(1, len(said.packets), STATISTICS)
    assert [each.path for each in found.observations if isinstance(each, ApiRequest)] == ["/first"]
    assert found.missing == ()
    with (tmp_path / KEYS_FILE).open("a") as keys:
        keys.write("CLIENT_RANDOM garbled\n")
    with pytest.raises(BrokenEvidence, match=r"keys\.log is garbled behind byte \d+"):
        reading.read_to(1)
    reading.close()
