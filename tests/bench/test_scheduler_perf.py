"""Throughput over the wire, of real binaries, beside Kubernetes' own benchmark of its scheduler, in turn."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

import pytest

from fixtures.loads import CONCURRENCY, load
from kubewitness.assets import resolve
from kubewitness.clusters import simulated
from kubewitness.model.cluster import Setup
from suites.latency.pods import pod
from tests.bench.scheduler_perf import measure
from tests.bench.staged import VERSION, staged

_INIT_PODS = 1000


def _theirs(namespace: str, name: str) -> dict[str, Any]:
    """A pod as that benchmark has it."""
    wanted = {"cpu": "100m", "memory": "500Mi"}
    container = {"name": "pause", "image": "none", "resources": {"limits": wanted, "requests": wanted}}
    return pod(namespace, name, containers=[container])


def _ours(evidence: Path, nodes: int, pods: int) -> tuple[float, float]:
    """Pods a second, from the first POST to the last that a client is told of; and where the time went."""
    with staged(evidence, Setup.TLS, nodes, room=simulated.ROOM) as (stage, _):
        load(stage.scene("init"), "init", _theirs, _INIT_PODS)
        loaded = load(stage.scene("measured"), "measured", _theirs, pods)
    loaded.must_be_created()
    posted = max(each.answered_ns or 0 for each in loaded.outcome.sent) - loaded.outcome.began_ns
    return loaded.throughput_per_s, pods / posted * 1e9


@pytest.mark.benchmark(group="scheduler_perf")
def test_scheduling_basic(benchmark: Any, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Told by extra_info: pods a second of either, and of ours again, which ours must agree with."""
    turns = int(pytestconfig.getoption("--clusters"))
    nodes, pods = pytestconfig.getoption("--size")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: that many of each, minutes each")
    version = resolve(VERSION, ["etcd"], progress=print).kubernetes
    found: dict[str, list[float]] = {"scheduler_perf": [], "ours": [], "ours again": [], "ours, created": []}

    def all_in_turn() -> None:
        for turn in range(turns):
            found["scheduler_perf"].append(measure(version, nodes, _INIT_PODS, pods, print).pods_per_s)
            for name in ("ours", "ours again"):
                bound, created = _ours(tmp_path / f"{name} {turn}", nodes, pods)
                found[name].append(bound)
                found["ours, created"].append(created)

    benchmark.pedantic(all_in_turn, rounds=1)
    for name, rates in found.items():
        benchmark.extra_info[f"{name} (pods/s)"] = [round(each, 1) for each in rates]
    theirs, ours, again = (
        statistics.median(found[each]) for each in ("scheduler_perf", "ours", "ours again")
    )
    benchmark.extra_info["size"] = f"{nodes} nodes, {pods} pods after {_INIT_PODS}, {CONCURRENCY} at once"
    benchmark.extra_info["ours / scheduler_perf"] = round(statistics.median([ours, again]) / theirs, 3)
    benchmark.extra_info["A/A"] = round(again / ours, 3)
