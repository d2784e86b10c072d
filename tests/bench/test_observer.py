"""What it costs a cluster to be observed: loads on one, beside its capture and without it, in turn."""

from __future__ import annotations

import os
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from fixtures.loads import CONCURRENCY
from kubewitness.assets import SIMULATED, resolve
from kubewitness.capture.barriers import CAPTURE_PORT, OWNERS_PORT
from kubewitness.clusters import simulated
from kubewitness.clusters.local import LocalCluster
from kubewitness.latency import arrivals
from kubewitness.latency.distribution import MS_NS, Distribution
from kubewitness.load.driving import reach, run
from kubewitness.load.plan import CLOSED, OPEN, Outcome, Plan, Request
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from suites.latency.pods import pod
from tests.bench.staged import ROOM
from tests.capture.capturing import ask_once_there

_RATE = 100.0  # pods a second
_PODS, _FIRST, _BURST, _NODES = 600, 100, 700, 100
_PATH = "/api/v1/namespaces/default/pods"


class Observable(LocalCluster):
    """It is captured when it is told to be, and no packet is marked or copied before and after."""

    _how: tuple[Any, ...]

    def _capture(self, *how: Any) -> None:
        self._how = how

    def observe(self) -> None:
        keeper = self.keeper
        assert keeper is not None
        super()._capture(*self._how)
        for port in (CAPTURE_PORT, OWNERS_PORT):
            ask_once_there(self.inside, port, lambda: not keeper.died())

    def processor_s(self) -> float:
        """What the capture's processes have had so far (proc(5), schedstat)."""
        assert self.keeper is not None
        pids = [self.keeper.processes[name].pid for name in ("capture", "sockets")]
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9

    def leave_alone(self) -> None:
        assert self.keeper is not None
        for process in ("capture", "sockets"):
            self.end(process)
        nft = shutil.which("nft") or "/usr/sbin/nft"
        self.keeper.run("marking", [nft, "delete", "table", "ip", "kubewitness-marking"], ns="cp")


def _host_processor_s() -> float:
    """What all processes of the host and its kernel have had so far (proc(5), stat)."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")  # idle is the fourth, then waiting


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
    # Those of earlier loads are no news.
    version = cluster.api.get(f"{_PATH}?limit=1")["metadata"]["resourceVersion"]
    watch = f"{_PATH}?watch=1&resourceVersion={version}&fieldSelector=spec.nodeName!%3D"
    return _send(cluster, directory, requests, watch=watch, deliveries=len(requests), within_s=120, **plan)


def measure(cluster: LocalCluster, directory: Path, turn: str) -> tuple[float, float, float]:
    """From the intended start to the event of the binding, at a rate: median and 99th percentile in
    milliseconds; and bindings a second in a burst.
    """
    steady = _pods(cluster, directory, f"{turn}-steady", arrivals.poisson(_RATE, _PODS, 1), loop=OPEN)
    told = {each.name: each.delivered_ns for each in steady.delivered}
    took = Distribution.of(told[each.name] - each.intended_ns for each in steady.sent[_FIRST:])
    burst = _pods(cluster, directory, f"{turn}-burst", [0] * _BURST, loop=CLOSED, concurrency=CONCURRENCY)
    last = max(each.delivered_ns for each in burst.delivered)
    rate = _BURST / (last - min(each.intended_ns for each in burst.sent)) * 1e9
    return took.median / MS_NS, took.percentile(99) / MS_NS, rate


@pytest.mark.benchmark(group="being observed")
def test_what_being_observed_costs(benchmark: Any, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Told by extra_info: medians of the turns, and of what each turn with a capture is to its one without.

    Turns follow each other closely, so that a host whose speed changes spoils few ratios.
    """
    turns: int = pytestconfig.getoption("--clusters")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: that many turns of each kind, a minute for the three")
    assets = resolve("1.37", SIMULATED, progress=print)
    spec = ClusterSpec(assets.kubernetes, Provider.LOCAL, Setup.INSECURE, Topology.SIMULATED, 0)
    kinds = ["none", "capture", "none again"]
    found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
    shares: list[float] = []

    def all_in_turn() -> None:
        cluster = Observable(spec, assets, None, lambda _: None)
        cluster.start()
        try:
            made = simulated.nodes(_NODES, room=ROOM)
            nodes = [Request(each["metadata"]["name"], "POST", "/api/v1/nodes", each) for each in made]
            _send(cluster, tmp_path, nodes, loop=CLOSED, concurrency=CONCURRENCY)
            measure(cluster, tmp_path, "warm")
            for turn in range(turns):
                for kind in kinds[turn % 3 :] + kinds[: turn % 3]:
                    name = f"{turn}-{kind.replace(' ', '-')}"
                    if kind == "capture":
                        cluster.observe()
                        before = cluster.processor_s(), _host_processor_s()
                        found[kind].append(measure(cluster, tmp_path, name))
                        used = cluster.processor_s() - before[0], _host_processor_s() - before[1]
                        shares.append(used[0] / used[1])
                        cluster.leave_alone()
                    else:
                        found[kind].append(measure(cluster, tmp_path, name))
                cluster.api.delete(_PATH, grace_s=0)
        finally:
            cluster.stop()

    benchmark.pedantic(all_in_turn, rounds=1)
    benchmark.extra_info["the capture's share of the processor time"] = _told(shares)
    for number, what in enumerate(("median (ms)", "p99 (ms)", "bindings/s")):
        by_kind = {kind: [turn[number] for turn in those] for kind, those in found.items()}
        for kind, values in by_kind.items():
            benchmark.extra_info[f"{what}, {kind}"] = _told(values)
        for name, kind in (("ratio", "capture"), ("A/A", "none again")):
            ratios = [mine / none for mine, none in zip(by_kind[kind], by_kind["none"], strict=True)]
            benchmark.extra_info[f"{what}, {name}"] = _told(ratios)


def _told(values: list[float]) -> str:
    """The median, and between which of the values it lies with a confidence of 95 %, if they are enough."""
    ends = Distribution.of(round(each * 1e6) for each in values).interval(50)
    between = f" ({ends[0] / 1e6:.4g} to {ends[1] / 1e6:.4g})" if ends else ""
    return f"{statistics.median(values):.4g}{between}"
