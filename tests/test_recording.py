"""A recording gives its packets, replayed as well as live."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.script import Script
from fixtures.stage import Stage
from kubewitness.capture.files import Packet
from kubewitness.capture.reading import FILE
from kubewitness.capture.storing import Store
from kubewitness.clusters.errors import ClusterError
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.observation import Endpoint
from tests.wire.traffic import SYN, packet

SPEC = ClusterSpec("1.37.2", Provider.LOCAL, Setup.INSECURE, Topology.MINIMAL)


def stored(directory: Path, *steps: tuple[str, object]) -> Stage:
    """Evidence of ten packets, from port 1 to port 10, and of these steps of the scene "x"."""
    with closing(Store(directory / FILE)) as store:
        for number in range(1, 11):
            data = packet(Endpoint("10.0.0.1", number), Endpoint("10.0.0.2", 8080), 1, 0, SYN)
            store.write([Packet(number, 1, data, len(data), "lo")])
    lines = [json.dumps({"scene": "x", "what": what, "result": result}) + "\n" for what, result in steps]
    (directory / "script.jsonl").write_text("".join(lines))
    return Stage(SPEC, directory, Script(directory / "script.jsonl", replaying=True), None)


def barrier(packets: int) -> dict[str, object]:
    """As older captures tell it, without what was not written."""
    return {"packets": packets, "dropped": 0, "interfaces": ["lo"]}


def test_packets_are_those_between_its_barriers(tmp_path: Path) -> None:
    steps = [("recording begins", barrier(3)), ("recording ends", barrier(7)), ("followed", [])]
    stage = stored(tmp_path, *steps)
    with stage.scene("x").recording() as recording, pytest.raises(ClusterError, match="before it ended"):
        _ = recording.packets
    assert len(recording.packets) == 4
    assert [each["TCP"].sport for each in recording.packets if "TCP" in each] == [4, 5, 6, 7]
    assert [each.client.port for each in recording.history.connections] == list(range(1, 8))
    stage.reading.close()


def test_a_recording_behind_the_end_of_a_full_capture_has_no_packets(tmp_path: Path) -> None:
    full = {**barrier(10), "unwritten": 5, "why_unwritten": "the disk is full"}
    stage = stored(tmp_path, ("recording begins", full), ("recording ends", full), ("followed", []))
    with stage.scene("x").recording() as recording:
        pass
    assert list(recording.packets) == []
    assert recording.history.observations == ()
    assert recording.history.missing == (
        "5 packets behind packet 10 are not in the capture: the disk is full",
    )
    stage.reading.close()
