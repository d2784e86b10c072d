"""Runs on a host: who owns them, and what a sweep may remove."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.clusters import runs
from kubewitness.clusters.errors import ClusterError, UsageError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEWITNESS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(runs, "CGROUPS", tmp_path / "no-cgroups")
    (tmp_path / "no-cgroups" / "cgroup.controllers").mkdir(parents=True)


def dead(run: runs.Run) -> None:
    (run.directory / "owner").write_text("1 0")  # process 1 did not start at tick 0 of some other boot


def test_a_run_belongs_to_the_process_that_made_it() -> None:
    run = runs.create()
    assert runs.sweep() == []
    assert run.directory.is_dir()


def test_a_dead_run_is_swept() -> None:
    run = runs.create()
    dead(run)
    assert runs.sweep() == [f"run {run.id}: files, control groups, link"]
    assert not run.directory.exists()


def test_a_run_whose_keeper_lives_stays() -> None:
    run = runs.create()
    dead(run)
    lock = os.open(run.directory / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert run.alive
    assert runs.sweep() == []
    os.close(lock)
    assert not run.alive
    assert runs.sweep() != []


def test_a_run_that_is_already_removed_is_no_error() -> None:
    run = runs.create()
    run.remove()
    run.remove()


def test_groups_that_vanish_while_processes_are_listed_had_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may end between any two looks at its group."""
    top = runs.CGROUPS / "node"
    for name in ("", "pod/gone", "pod/kept"):
        (top / name).mkdir(parents=True, exist_ok=True)
        (top / name / "cgroup.procs").write_text("" if name else "1\n2\n")
    (top / "pod" / "kept" / "cgroup.procs").write_text("3\n")
    look = os.scandir

    def too_late(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "gone":
            Path(path, "cgroup.procs").unlink()
            Path(path).rmdir()
        return look(path)

    monkeypatch.setattr(os, "scandir", too_late)
    assert runs.processes("node") == {1, 2, 3}


def test_control_groups_of_a_dead_run_are_removed() -> None:
    run = runs.create()
    runs.make_control_groups(f"{run.cgroup}/node1")
    assert (runs.CGROUPS / run.cgroup / "node1").is_dir()
    run.remove()
    assert not (runs.CGROUPS / "kubewitness").exists()


def test_groups_are_removed_when_their_last_processes_have_ended() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as ending:
        assert ending.stdin is not None
        with pytest.raises(ClusterError, match=f"process {ending.pid} of a run that is over"):
            runs.outlive([str(ending.pid)], within_s=0.01)
        ending.stdin.close()
        runs.outlive([str(ending.pid)])
    runs.outlive([str(ending.pid)])


@pytest.mark.parametrize("below", ["/var/lib/x", "/run/x", "/var/log"])
def test_a_run_cannot_live_where_nodes_have_their_own(below: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEWITNESS_STATE", below)
    with pytest.raises(UsageError, match="choose another directory"):
        runs.root()
