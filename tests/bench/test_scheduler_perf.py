"""What Kubernetes' own benchmark of its scheduler finds on this host."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.assets import resolve
from tests.bench.scheduler_perf import measure

_NODES, _INIT_PODS, _PODS = 100, 100, 1000


@pytest.mark.benchmark(group="scheduler_perf")
def test_scheduling_basic(benchmark: Any, pytestconfig: pytest.Config) -> None:
    """Told by extra_info: its throughput and the durations of its attempts."""
    if not pytestconfig.getoption("--clusters"):
        pytest.skip("wanted --clusters 1: 10 s, and once some minutes to build it")
    version = resolve("1.37", ["etcd"], progress=print).kubernetes
    found = benchmark.pedantic(lambda: measure(version, _NODES, _INIT_PODS, _PODS, print), rounds=1)
    assert found.each_s[-1][1] == _PODS
    benchmark.extra_info["pods/s"] = round(found.pods_per_s, 1)
    benchmark.extra_info["attempt p50 (ms)"] = round(found.attempt_ms["Perc50"], 2)
    benchmark.extra_info["attempt p99 (ms)"] = round(found.attempt_ms["Perc99"], 2)
