"""What it costs a cluster to be observed: loads on clusters with and without the capture, in turn."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

import pytest

from fixtures.loads import CONCURRENCY
from kubewitness.assets import SIMULATED, resolve
from kubewitness.clusters import simulated
from kubewitness.clusters.local import LocalCluster
from kubewitness.latency import arrivals
from kubewitness.latency.distribution import MS_NS, Distribution
from kubewitness.load.driving import reach, run
from kubewitness.load.plan import CLOSED, OPEN, Outcome, Plan, Request
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from suites.latency.pods import pod
from tests.bench.staged import ROOM

_RATE = 50.0  # pods a second
_PODS, _BURST, _NODES = 1500, 1500, 20
_PATH = "/api/v1/namespaces/default/pods"


class Unobserved(LocalCluster):
    """The same, with nothing that captures or marks."""

    def _capture(self, *_: Any) -> None:
        """Nothing."""


def _send(cluster: LocalCluster, directory: Path, requests: list[Request], **plan: Any) -> Outcome:
    outcome = run(Plan(**reach(cluster.load_kubeconfig), requests=requests, **plan), directory)
    assert not outcome.missing, outcome.missing
    return outcome


def _pods(cluster: LocalCluster, directory: Path, name: str, offsets: list[int], **plan: Any) -> Outcome:
    """Until a client's watch has told of each that it is bound."""
    requests = [
        Request(f"{name}-p{n}", "POST", _PATH, pod("default", f"{name}-p{n}"), offset)
        for n, offset in enumerate(offsets)
    ]
    version = cluster.api.get(_PATH)["metadata"]["resourceVersion"]  # those of earlier loads are no news
    watch = f"{_PATH}?watch=1&resourceVersion={version}&fieldSelector=spec.nodeName!%3D"
    return _send(cluster, directory, requests, watch=watch, deliveries=len(requests), within_s=120, **plan)


def measure(cluster: LocalCluster, directory: Path) -> tuple[Distribution, float]:
    """From the intended start to the event of the binding, at a rate; and bindings a second in a burst."""
    made = simulated.nodes(_NODES, room=ROOM)
    nodes = [Request(each["metadata"]["name"], "POST", "/api/v1/nodes", each) for each in made]
    _send(cluster, directory, nodes, loop=CLOSED, concurrency=CONCURRENCY)
    _pods(cluster, directory, "warm", [0] * 200, loop=CLOSED, concurrency=CONCURRENCY)
    steady = _pods(cluster, directory, "steady", arrivals.poisson(_RATE, _PODS, 1), loop=OPEN)
    told = {each.name: each.delivered_ns for each in steady.delivered}
    took = Distribution.of(told[each.name] - each.intended_ns for each in steady.sent[_PODS // 10 :])
    burst = _pods(cluster, directory, "burst", [0] * _BURST, loop=CLOSED, concurrency=CONCURRENCY)
    last = max(each.delivered_ns for each in burst.delivered)
    return took, _BURST / (last - min(each.intended_ns for each in burst.sent)) * 1e9


@pytest.mark.benchmark(group="being observed")
def test_what_being_observed_costs(benchmark: Any, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Told by extra_info: medians over clusters, and the same of unobserved ones against each other."""
    turns: int = pytestconfig.getoption("--clusters")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: that many with and without a capture, a minute each")
    assets = resolve("1.37", SIMULATED, progress=print)
    spec = ClusterSpec(assets.kubernetes, Provider.LOCAL, Setup.INSECURE, Topology.SIMULATED, 0)
    found: dict[str, dict[str, list[float]]] = {"median (ms)": {}, "p99 (ms)": {}, "bindings/s": {}}

    def all_in_turn() -> None:
        for turn in range(turns):
            order = [("none", Unobserved), ("capture", LocalCluster), ("none again", Unobserved)]
            for name, kind in order[turn % 3 :] + order[: turn % 3]:
                cluster = kind(spec, assets, None, lambda _: None)
                cluster.start()
                try:
                    took, rate = measure(cluster, tmp_path)
                finally:
                    cluster.stop()
                figures = (took.median / MS_NS, took.percentile(99) / MS_NS, rate)
                for by_name, figure in zip(found.values(), figures, strict=True):
                    by_name.setdefault(name, []).append(figure)

    benchmark.pedantic(all_in_turn, rounds=1)
    for what, by_name in found.items():
        told = {name: statistics.median(values) for name, values in by_name.items()}
        benchmark.extra_info[what] = {
            name: [round(each, 2) for each in values] for name, values in by_name.items()
        }
        benchmark.extra_info[f"{what}, ratio"] = round(told["capture"] / told["none"], 3)
        benchmark.extra_info[f"{what}, A/A"] = round(told["none again"] / told["none"], 3)
