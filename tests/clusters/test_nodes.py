"""A node that is paused: its processes stand still, whatever they are doing, and go on as if nothing was."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kubewitness.clusters.nodes import Nodes
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

WITHIN_S = 20.0


class Local(Nodes):
    """Nodes of which the only one has the processes of a session."""

    session: int

    def _processes(self, _: str) -> set[int]:
        found = set()
        for each in Path("/proc").iterdir():
            if each.name.isdigit() and (seen := _stat(each)) and int(seen[3]) == self.session:
                found.add(int(each.name))
        return found

    def states(self) -> set[str]:
        return {seen[0] for each in self._processes("") if (seen := _stat(Path(f"/proc/{each}")))}


def _stat(process: Path) -> list[str]:
    """The fields of a process, from its state on; none if it has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    return tmp_path / "counted"


@pytest.fixture
def node(counter: Path) -> Iterator[Local]:
    """Two loops that start process after process; what is counted shows that they go on."""
    loop = f"while :; do /bin/sleep 0.001; echo >> {counter}; done"
    started = subprocess.Popen(["/bin/sh", "-c", f"({loop}) & {loop}"], start_new_session=True)
    nodes = Local(
        ClusterSpec("1.37", Provider.LOCAL, Setup.INSECURE, Topology.STANDARD), *cast("Any", [None] * 4)
    )
    nodes.session = started.pid
    yield nodes
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def test_what_is_paused_stands_still_and_goes_on(node: Local, counter: Path) -> None:
    until(lambda: size(counter) > 0)
    node.pause("node1")
    assert node.states() <= {"T", "Z"}
    paused_at = size(counter)
    time.sleep(0.2)
    assert size(counter) == paused_at
    node.resume("node1")
    until(lambda: size(counter) > paused_at)


def test_what_is_paused_can_be_killed(node: Local, counter: Path) -> None:
    until(lambda: size(counter) > 0)
    node.pause("node1")
    os.killpg(node.session, signal.SIGKILL)
    until(lambda: node.states() <= {"Z"})
