"""From nothing to the first pod that runs: local clusters and clusters of kind, in turn."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import pytest

from kubewitness.assets import ALL, EXTRA, KIND, resolve
from kubewitness.clusters.api import pods, service_accounts
from kubewitness.clusters.kept import KeptCluster
from kubewitness.clusters.kind.cluster import KindCluster
from kubewitness.clusters.local import LocalCluster
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from suites.ordering.pods import pause_pod
from suites.states import is_running


def first_pod_s(cluster: KeptCluster) -> float:
    """Seconds from the start's beginning until a pod runs. The cluster is stopped afterwards."""
    began = time.perf_counter()
    cluster.start()
    try:
        account = service_accounts("default")
        cluster.api.wait(account, "default", lambda found: found is not None, within_s=60, what="an account")
        cluster.api.post(pods("default").path, pause_pod("default", "first"))
        cluster.api.wait(pods("default"), "first", is_running, within_s=60, what="a pod to run")
        return time.perf_counter() - began
    finally:
        cluster.stop()


@pytest.mark.benchmark(group="to the first pod")
@pytest.mark.parametrize("setup", Setup)
def test_to_the_first_pod(benchmark: Any, pytestconfig: pytest.Config, setup: Setup) -> None:
    """Told by extra_info: medians, and what `kind create cluster` alone takes of kind's."""
    turns: int = pytestconfig.getoption("--clusters")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: that many of either provider")
    assets = resolve("1.37", [*ALL, *EXTRA[KIND]], progress=print)
    took: dict[str, list[float]] = {"local": [], "kind": [], "kind create cluster": []}

    def all_in_turn() -> None:
        for _ in range(turns):
            for provider, make in ((Provider.LOCAL, LocalCluster), (Provider.KIND, KindCluster)):
                spec = ClusterSpec(assets.kubernetes, provider, setup, Topology.STANDARD, 2)
                cluster = make(spec, assets, None, lambda _: None)
                took[provider].append(first_pod_s(cluster))
                if provider is Provider.KIND:
                    told = cluster.timings_s
                    took["kind create cluster"].append(told["kind_created_s"] - told["engine_ready_s"])

    benchmark.pedantic(all_in_turn, rounds=1)
    medians = {name: statistics.median(values) for name, values in took.items()}
    benchmark.extra_info.update({f"{name} (s)": round(value, 2) for name, value in medians.items()})
    benchmark.extra_info["local / kind"] = round(medians["local"] / medians["kind"], 3)
