"""What stays of a cluster that did not come up: its logs, where whoever asked for it finds them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness import cli
from kubewitness.assets import Assets
from kubewitness.clusters import network, runs
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.kept import KeptCluster
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

SPEC = ClusterSpec("1.37.2", Provider.KIND, Setup.TLS, Topology.STANDARD, 1)


class Hopeless(KeptCluster):
    """It does not come up, and its components have ``said`` something before."""

    said = "no room\n"
    error: BaseException = ClusterError("etcd ended")

    def _start(self) -> None:
        logs = self.run.directory / "logs"
        (logs / "node1").mkdir(parents=True)
        (logs / "node1" / "kubelet.log").write_text(self.said)
        raise self.error


Make = Callable[[Path | None], Hopeless]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("KUBEWITNESS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(runs, "CGROUPS", tmp_path / "no-cgroups")
    monkeypatch.setattr(network, "free_link_addresses", lambda: ("198.18.0.1", "198.18.0.2"))
    (tmp_path / "no-cgroups" / "cgroup.controllers").mkdir(parents=True)
    return lambda evidence: Hopeless(SPEC, Assets("1.37.2", {}, {}), evidence, lambda _: None)


def failure(cluster: Hopeless) -> str:
    with pytest.raises(ClusterError) as caught:
        cluster.start()
    assert not cluster.run.directory.exists()
    return str(caught.value)


def test_the_logs_of_a_failed_start_are_with_the_evidence(make: Make, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    assert failure(make(evidence)) == f"etcd ended\nits logs are kept in {evidence / 'logs'}"
    assert (evidence / "logs" / "node1" / "kubelet.log").read_text() == "no room\n"
    assert not (runs.root() / runs.FAILED).exists()


def test_without_a_place_for_evidence_they_outlive_the_runs_directory(make: Make) -> None:
    cluster = make(None)
    message = failure(cluster)
    kept = runs.root() / runs.FAILED / cluster.run.id
    assert message == f"etcd ended\nits logs are kept in {kept}"
    assert (kept / "node1" / "kubelet.log").read_text() == "no room\n"


def test_logs_that_say_nothing_are_not_kept(make: Make) -> None:
    cluster = make(None)
    cluster.said = ""
    assert failure(cluster) == "etcd ended"
    assert not (runs.root() / runs.FAILED).exists()


def test_an_interrupted_start_leaves_nothing(make: Make) -> None:
    cluster = make(None)
    cluster.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        cluster.start()
    assert [each.name for each in runs.root().iterdir()] == [".lock"]


def test_what_could_not_be_removed_does_not_hide_why_the_cluster_failed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stubborn(_: runs.Run) -> None:
        raise ClusterError("a container is left")

    cluster = make(None)
    monkeypatch.setattr(runs.Run, "remove", stubborn)
    with pytest.raises(ClusterError) as caught:
        cluster.start()
    kept = runs.root() / runs.FAILED / cluster.run.id
    assert str(caught.value) == f"etcd ended\na container is left\nits logs are kept in {kept}"


def test_the_logs_of_the_last_failures_alone_are_kept(make: Make) -> None:
    clusters = [make(None) for _ in range(7)]
    for age, cluster in enumerate(clusters):
        failure(cluster)
        os.utime(runs.root() / runs.FAILED / cluster.run.id, (age, age))
    left = {each.name for each in (runs.root() / runs.FAILED).iterdir()}
    assert left == {each.run.id for each in clusters[2:]}


def test_they_are_no_runs_and_go_when_it_is_asked_for(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make(None)
    failure(cluster)
    assert [*runs.all_runs()] == []
    assert runs.sweep() == []
    assert cli.main(["clean"]) == 0
    kept = runs.root() / runs.FAILED
    assert capsys.readouterr().out == f"removed logs of a start that failed: {kept / cluster.run.id}\nclean\n"
    assert not kept.exists()
    assert runs.forget_failures() == []
