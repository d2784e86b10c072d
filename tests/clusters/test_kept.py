"""A cluster that this host holds, of which nothing but the capture runs."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewitness.assets import Assets
from kubewitness.capture.barriers import CAPTURE_PORT
from kubewitness.capture.files import STATISTICS
from kubewitness.capture.reading import FILE
from kubewitness.clusters import kept, runs
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kept import KeptCluster
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

_LACKING = [
    each for each in ("nft", "ip") if not shutil.which(each, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
]
_LACKING += [] if os.geteuid() == 0 else ["root"]
pytestmark = pytest.mark.skipif(bool(_LACKING), reason=f"this host lacks {', '.join(_LACKING)}")

#: As soon as the capturing process is there to answer it.
_BARRIER = f"""
from kubewitness.capture.barriers import ask
while True:
    try:
        ask("127.0.0.1", {CAPTURE_PORT}, "", 60)
        break
    except ConnectionRefusedError:
        continue
"""


class Captured(KeptCluster):
    def _start(self) -> None:
        self.keeper = keeper = Keeper.start(self.run.directory)
        keeper.namespace("cp")
        keeper.links("cp", ["link set lo up", f"address add {self.inside}/30 dev lo"])
        self._capture(keeper, ["lo"], {})
        self.kubeconfig = self.run.directory / "none"
        keeper.run(
            "barrier",
            [sys.executable, "-c", _BARRIER],
            ns="cp",
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], Captured]]:
    monkeypatch.setenv("KUBEWITNESS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(runs, "CGROUPS", tmp_path / "no-cgroups")
    (tmp_path / "no-cgroups" / "cgroup.controllers").mkdir(parents=True)

    made: list[Captured] = []

    def started(said: list[str]) -> Captured:
        spec = ClusterSpec("1.37", Provider.LOCAL, Setup.TLS, Topology.MINIMAL)
        cluster = Captured(spec, Assets("1.37.2", {}, {}), tmp_path / "evidence", said.append)
        cluster.start()
        made.append(cluster)
        return cluster

    yield started
    for each in made:
        if each.run.directory.exists():
            each.stop()


def statistics(file: Path) -> list[int]:
    """The interfaces that have a block of them at the end of the file."""
    content, at = file.read_bytes(), 0
    found: list[int] = []
    while at < len(content):
        kind, length, number = struct.unpack_from("<III", content, at)
        found = [*found, number] if kind == STATISTICS else []
        at += length
    return found


def test_a_capture_ends_with_its_statistics(start: Callable[[list[str]], Captured]) -> None:
    said: list[str] = []
    cluster = start(said)
    file = cluster.captured / FILE
    assert statistics(file) == []
    cluster.stop()
    assert not [line for line in said if "capture" in line]
    assert statistics(file) == [0]


def test_a_capture_that_does_not_end_is_ended(
    start: Callable[[list[str]], Captured], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    cluster = start(said)
    monkeypatch.setattr(kept, "_CAPTURE_ENDS_S", 0.1)
    assert cluster.keeper is not None
    cluster.keeper.signal("capture", signal.SIGSTOP)
    cluster.stop()
    assert (
        len([line for line in said if "the capture ends without its statistics: waited 0.1 s" in line]) == 1
    )
    assert not cluster.run.directory.exists()


def test_a_capture_that_has_ended_is_left_alone(start: Callable[[list[str]], Captured]) -> None:
    said: list[str] = []
    cluster = start(said)
    assert cluster.keeper is not None
    cluster.keeper.signal("capture", signal.SIGKILL)
    cluster.keeper.wait_exit("capture", 30)
    cluster.stop()
    assert not [line for line in said if "capture" in line]
