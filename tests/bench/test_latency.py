"""Whether what the latency rows say is true: against arithmetic, injected delays, audit, and other tools."""

from __future__ import annotations

import json
import os
import signal
import statistics
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.loads import (
    API_SERVER,
    ATTEMPT,
    CALLS,
    SCHEDULER,
    SLI,
    Loaded,
    creating_pods,
    load,
    wait_for_scheduler,
)
from kubewitness.assets import DELAYED_SCHEDULER
from kubewitness.clusters.local import LocalCluster
from kubewitness.latency import arrivals
from kubewitness.latency.distribution import MS_NS, Distribution, Repeatability
from kubewitness.latency.exposition import added
from kubewitness.latency.queueing import expected_latencies
from kubewitness.model.cluster import Setup
from suites.latency.pods import pod
from tests.bench.staged import staged

_PAUSE_S = 2.0


pytestmark = pytest.mark.usefixtures("turns")


@pytest.fixture
def turns(pytestconfig: pytest.Config) -> int:
    wanted = int(pytestconfig.getoption("--clusters"))
    if not wanted or os.geteuid():
        pytest.skip("wanted root and --clusters N")
    return wanted


@contextmanager
def _standing_still(cluster: LocalCluster, after_s: float) -> Any:
    """The API server stops for _PAUSE_S, so long after the block began; yields when it did, in ns."""
    pause: list[int] = []

    def stop() -> None:
        assert cluster.keeper is not None
        time.sleep(after_s)
        cluster.keeper.signal("kube-apiserver", signal.SIGSTOP)
        pause.append(time.time_ns())
        time.sleep(_PAUSE_S)
        cluster.keeper.signal("kube-apiserver", signal.SIGCONT)
        pause.append(time.time_ns())

    thread = threading.Thread(target=stop)
    thread.start()
    yield pause
    thread.join()


@pytest.mark.benchmark(group="truth")
def test_a_server_that_stands_still_is_seen_by_those_who_had_to_wait(benchmark: Any, tmp_path: Path) -> None:
    # A low rate: those who waited are served side by side when it goes on, which the arithmetic leaves out.
    rate, count = 10.0, 1000

    def measure() -> None:
        with staged(tmp_path / "evidence", Setup.INSECURE, 10) as (stage, cluster):
            warm = load(stage.scene("warm"), "warm", pod, 500)
            offsets = arrivals.constant(rate, count)
            with _standing_still(cluster, count / rate / 2) as pause:
                paused = load(stage.scene("open"), "open", pod, count, offsets_ns=offsets)
            with _standing_still(cluster, 3.0):
                closed = load(stage.scene("closed"), "closed", pod, count, concurrency=1)
        paused.must_be_complete()
        closed.must_be_complete()
        took = paused.between("intended", "bound").of
        undisturbed = [each for at, each in took if not pause[0] - 10**9 < at < pause[1] + 10**9]
        service_ns = round(1e9 / warm.throughput_per_s)
        expected = expected_latencies(
            [at for at, _ in took], (pause[0], pause[1]),
            latency_ns=round(statistics.median(undisturbed)), service_ns=service_ns,
        )  # fmt: skip
        found = paused.between("intended", "bound").ms(99)
        wanted = Distribution.of(expected).percentile(99) / MS_NS
        at_once = expected_latencies(
            [at for at, _ in took], (pause[0], pause[1]),
            latency_ns=round(statistics.median(undisturbed)), service_ns=0,
        )  # fmt: skip
        benchmark.extra_info.update({
            "stood still (s)": round((pause[1] - pause[0]) / 1e9, 4),
            "median beside it (ms)": round(statistics.median(undisturbed) / MS_NS, 2),
            "service (ms)": round(service_ns / MS_NS, 2),
            "p99 found (ms)": round(found, 1),
            "p99 by arithmetic (ms)": round(wanted, 1),
            "found / arithmetic": round(found / wanted, 3),
            "p99 by arithmetic, served at once (ms)": round(
                Distribution.of(at_once).percentile(99) / MS_NS, 1),
            "max found (ms)": round(paused.between("intended", "bound").ms(100), 1),
            "p99 from the POST's sending (ms)": round(paused.between("posted", "bound").ms(99), 1),
            "closed loop's p99 (ms)": round(closed.between("intended", "bound").ms(99), 2),
            "closed loop's max (ms)": round(closed.between("intended", "bound").ms(100), 1),
        })  # fmt: skip

    benchmark.pedantic(measure, rounds=1)


@pytest.mark.benchmark(group="truth")
def test_a_delay_of_the_scheduler_is_found_at_its_size(benchmark: Any, turns: int, tmp_path: Path) -> None:
    rate, count = 25.0, 500
    medians: dict[str, list[float]] = {"stock": [], "0ms": [], "20ms": [], "50ms": []}

    def measure() -> None:
        with staged(tmp_path / "evidence", Setup.INSECURE, 10, also=[DELAYED_SCHEDULER]) as (stage, cluster):
            program = cluster.assets.path(DELAYED_SCHEDULER)
            for turn in range(turns):
                for delay, found in medians.items():
                    if delay != "stock":
                        cluster.restart_scheduler(program, delay)
                        wait_for_scheduler(stage.scene(f"{delay} begins {turn}"), pod)
                    load(stage.scene(f"warm {delay} {turn}"), "warm", pod, 100)
                    loaded = load(
                        stage.scene(f"{delay} {turn}"), delay, pod, count,
                        offsets_ns=arrivals.poisson(rate, count, turn),
                    )  # fmt: skip
                    loaded.must_be_complete()
                    found.append(loaded.between("intended", "bound").ms(50))
                cluster.end("kube-scheduler")
                cluster.restart("kube-scheduler")
                wait_for_scheduler(stage.scene(f"stock begins {turn}"), pod)

    benchmark.pedantic(measure, rounds=1)
    least = statistics.median(medians["0ms"])
    for delay, found in medians.items():
        benchmark.extra_info[f"median, {delay} (ms)"] = [round(each, 2) for each in found]
        if wanted := int(delay.removesuffix("ms") if delay != "stock" else 0):
            added_ms = statistics.median(found) - least
            benchmark.extra_info[f"found / injected, {delay}"] = round(added_ms / wanted, 3)


_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}


@pytest.mark.benchmark(group="truth")
def test_wire_audit_and_metrics_agree(benchmark: Any, tmp_path: Path) -> None:
    """In `tls` by keys, where clients speak to the API server itself: a relay's time is none of its own."""
    policy, log = tmp_path / "policy.json", tmp_path / "audit.log"
    policy.write_text(json.dumps(_POLICY))
    flags = ["--audit-policy-file", str(policy), "--audit-log-path", str(log)]

    def measure() -> None:
        with staged(tmp_path / "evidence", Setup.TLS, 100, flags=flags, key_log=True) as (stage, _):
            load(stage.scene("warm"), "warm", pod, 200)
            loaded = load(
                stage.scene("steady"), "steady", pod, 1000, offsets_ns=arrivals.poisson(50, 1000, 1)
            )
        loaded.must_be_complete()
        benchmark.extra_info.update(_beside_each_other(loaded, log))

    benchmark.pedantic(measure, rounds=1)


_SCHEDULERS: list[tuple[str, str, dict[str, str]]] = [(SCHEDULER, family, {}) for family in (SLI, ATTEMPT)]


def _beside_each_other(loaded: Loaded, log: Path) -> dict[str, Any]:
    wire = Distribution.of(
        chain.answered.time_ns - chain.posted.started_ns
        for chain in loaded.chains.values() if chain.answered and chain.posted
    )  # fmt: skip
    events = map(json.loads, log.read_text().splitlines())
    audited = [_took_ns(each) for each in events if _creates(each, loaded.namespace)]
    audit = Distribution.of(audited)
    of_pods = creating_pods()[2]
    told: dict[str, Any] = {
        "POST pods by wire, p50 (ms)": round(wire.median / MS_NS, 3),
        "by audit": round(audit.median / MS_NS, 3),
        "samples": (len(wire.samples_ns), len(audited)),
        "least (ms)": (round(wire.samples_ns[0] / MS_NS, 3), round(audit.samples_ns[0] / MS_NS, 3)),
    }
    before, after = (each[API_SERVER] for each in loaded.metrics)
    metric = added(before, after, CALLS, lambda labels: of_pods.items() <= labels.items())
    assert metric is not None
    told["by metrics, p50's bucket (ms)"] = tuple(each * 1000 for each in metric.bucket(50))
    told["metrics' samples"] = round(metric.count)
    scheduling = Distribution.of(
        chain.bound.time_ns - chain.delivered.time_ns
        for chain in loaded.chains.values() if chain.bound and chain.delivered
    )  # fmt: skip
    told["delivered to bound by wire, p50 (ms)"] = round(scheduling.median / MS_NS, 3)
    for each in loaded.beside(*_SCHEDULERS, series=loaded.label):
        (half,) = (q for q in each["quantiles"] if q["p"] == 50)
        told[f"{each['name']}, p50's bucket (ms)"] = (half["low"], half["high"])
    return told


def _creates(event: dict[str, Any], namespace: str) -> bool:
    about = event.get("objectRef", {})
    where = about.get("resource"), about.get("namespace"), about.get("subresource")
    return (
        where == ("pods", namespace, None)
        and event["verb"] == "create"
        and event["stage"] == "ResponseComplete"
    )


def _took_ns(event: dict[str, Any]) -> int:
    begun, ended = (
        datetime.fromisoformat(event[each]) for each in ("requestReceivedTimestamp", "stageTimestamp")
    )
    return round((ended - begun).total_seconds() * 1e9)


@pytest.mark.benchmark(group="truth")
def test_how_far_runs_of_the_same_agree(benchmark: Any, tmp_path: Path) -> None:
    """Ten runs on one cluster, with other arrivals each."""
    figures: dict[str, list[float]] = {"median (ms)": [], "p99 (ms)": [], "throughput (1/s)": []}

    def measure() -> None:
        with staged(tmp_path / "evidence", Setup.INSECURE, 100) as (stage, _):
            load(stage.scene("warm"), "warm", pod, 500)
            for run in range(10):
                offsets = arrivals.poisson(50, 500, run)
                steady = load(stage.scene(f"steady {run}"), "steady", pod, 500, offsets_ns=offsets)
                steady.must_be_complete()
                burst = load(stage.scene(f"burst {run}"), "burst", pod, 500)
                figures["median (ms)"].append(steady.between("intended", "bound").ms(50))
                figures["p99 (ms)"].append(steady.between("intended", "bound").ms(99))
                figures["throughput (1/s)"].append(burst.throughput_per_s)

    benchmark.pedantic(measure, rounds=1)
    for name, found in figures.items():
        agree = Repeatability.of(found)
        benchmark.extra_info[name] = [round(each, 2) for each in found]
        benchmark.extra_info[f"{name}, deviation"] = f"{agree.deviation / agree.mean:.1%}"
        benchmark.extra_info[f"{name}, smallest change"] = f"{agree.smallest_change:.1%}"
