"""Pods created a second, and what one costs its creator: the load generator, client-go, Python's client.

    pytest tests/bench/test_creator.py --clusters 5

All in one cluster, whose scheduler was ended so that pods stay pending; each in turn, as often as N says, in
an order that changes, and with the pods of one turn removed before the next. The first two are the same, so
that it is told how far two turns of one thing are apart.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kubewitness.assets import ALL, resolve
from kubewitness.clusters.api import pods
from kubewitness.clusters.local import LocalCluster
from kubewitness.load.bodies import PROTOBUF, protobuf
from kubewitness.load.driving import reach, run
from kubewitness.load.plan import CLOSED, HTTP1, HTTP2, JSON, Plan, Request
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from tests.bench.creators import go_creator, pod

COUNT = 3000
AT_ONCE = 64
ROOT = Path(__file__).parents[2]
PODS = pods("default").path


class Took(NamedTuple):
    """Pods, seconds of all requests together, and the creator's own processor time in between."""

    pods: int
    took_s: float
    processor_s: float


Creator = Callable[[Path, str, Path], Took]


def ours(at_once: int, kind: str, protocol: str, count: int = COUNT) -> Creator:
    """Bodies and answers of that content type, JSON or PROTOBUF."""

    def create(kubeconfig: Path, prefix: str, directory: Path) -> Took:
        bodies = [
            (name, pod(name) if kind == JSON else protobuf(pod(name))) for name in _names(prefix, count)
        ]
        requests = [Request(name, "POST", PODS, body, content_type=kind) for name, body in bodies]
        plan = Plan(requests=requests, loop=CLOSED, concurrency=at_once, accept=kind, protocol=protocol,
                    connections=1 if protocol == HTTP2 else at_once, **reach(kubeconfig))  # fmt: skip
        outcome = run(plan, directory)
        assert not outcome.missing
        assert {each.status for each in outcome.sent} == {201}
        return Took(count, (outcome.ended_ns - outcome.began_ns) / 1e9, outcome.processor_ns / 1e9)

    return create


def other(*command: object, count: int = COUNT) -> Creator:
    def create(kubeconfig: Path, prefix: str, _: Path) -> Took:
        program, *arguments = command
        words = [*str(program).split(), kubeconfig, prefix, count, *arguments]
        done = subprocess.run([*map(str, words)], check=True, capture_output=True, text=True, cwd=ROOT)
        return Took(count, **json.loads(done.stdout))

    return create


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def creators(kubernetes: str) -> dict[str, Creator]:
    python = f"{sys.executable} -m tests.bench.creators"
    go = go_creator(kubernetes)
    if go is None:
        pytest.skip("wanted go on PATH, to build the Go client that is compared")
    return {
        "ours": ours(AT_ONCE, PROTOBUF, HTTP2),
        "ours again": ours(AT_ONCE, PROTOBUF, HTTP2),
        "ours, HTTP/1.1": ours(AT_ONCE, PROTOBUF, HTTP1),
        "ours, HTTP/1.1, JSON": ours(AT_ONCE, JSON, HTTP1),
        "client-go": other(go, AT_ONCE, "typed"),
        "client-go, 32 at once": other(go, AT_ONCE // 2, "typed"),
        "client-go, raw": other(go, AT_ONCE, "raw"),
        "client-go, raw, 32 at once": other(go, AT_ONCE // 2, "raw"),
        "Python": other(python, 1, count=COUNT // 3),
        "Python, 10 threads": other(python, 10, count=COUNT // 3),
    }


@pytest.mark.benchmark(group="creating pods")
def test_creating_pods(benchmark: Any, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    turns: int = pytestconfig.getoption("--clusters")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: N turns of each creator in one cluster, 20 s a turn")
    assets = resolve("1.37", [name for name in ALL if name != "kubeadm"], progress=print)
    compared = creators(assets.kubernetes)
    found: dict[str, list[Took]] = {name: [] for name in compared}
    spec = ClusterSpec(assets.kubernetes, Provider.LOCAL, Setup.TLS, Topology.MINIMAL)
    cluster = LocalCluster(spec, assets, None, lambda _: None)

    def all_in_turn() -> None:
        cluster.end("kube-scheduler")
        ours(AT_ONCE, PROTOBUF, HTTP2)(
            cluster.kubeconfig, "first", tmp_path
        )  # the API server's own warming up
        for turn in range(turns):
            order = [*compared][turn % len(compared) :] + [*compared][: turn % len(compared)]
            for place, name in enumerate(order):
                cluster.api.delete(PODS, grace_s=0)
                found[name].append(compared[name](cluster.kubeconfig, f"p{turn}-{place}", tmp_path))

    cluster.start()
    try:
        benchmark.pedantic(all_in_turn, rounds=1)
    finally:
        cluster.stop()
    for name, all_took in found.items():
        rates = sorted(each.pods / each.took_s for each in all_took)
        costs = sorted(each.processor_s / each.pods * 1e6 for each in all_took)
        benchmark.extra_info[name] = (
            f"{statistics.median(rates):.0f} pods/s ({rates[0]:.0f} to {rates[-1]:.0f}),"
            f" {statistics.median(costs):.0f} µs a pod ({costs[0]:.0f} to {costs[-1]:.0f})"
        )
