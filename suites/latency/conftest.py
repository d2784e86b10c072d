"""Loads that several rows are measured by, each carried out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.loads import Loaded, load, load_daemon_set, make_nodes, remove_nodes, wait_for_scheduler
from fixtures.stage import Stage
from kubewitness.clusters import simulated
from kubewitness.latency import arrivals
from kubewitness.reporting.plugin import SPECS
from suites.latency.pods import TAINT, WORKLOADS, daemon_set, pod
from suites.ordering.pods import pause_pod

_SEED = 1
#: Workloads are compared where nodes neither lack nor are what takes the time.
WORKLOAD_NODES = 100
_TAINTED = 10  # one node of so many
#: Pods per second on real nodes, each gone after a while: a pod takes processor time of its node there.
_REAL_RATE, _REAL_PODS, _REAL_LIFE_S = 1.0, 60, 20.0
_CHURN_S = 2.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    specs = metafunc.config.stash[SPECS]
    if "scale" in metafunc.fixturenames:
        scales = sorted({number for spec in specs for number in spec.simulated})
        metafunc.parametrize("scale", scales, indirect=True, scope="module")
    if "workload" in metafunc.fixturenames:
        kinds = [*WORKLOADS, "churn", "DaemonSet"]
        metafunc.parametrize("workload", kinds, indirect=True, scope="module")


def node(number: int) -> dict[str, Any]:
    """With room for all pods of all loads, so that a single one can be measured, too."""
    zone = simulated.ZONES[number % len(simulated.ZONES)]
    room = {"cpu": "1000", "memory": "1Ti", "pods": "100000"}
    taints = () if number % _TAINTED else (TAINT,)
    return simulated.node(f"simulated-{number}", zone, taints, room=room)


Resize = Callable[[int], None]


@pytest.fixture(scope="module")
def resize(stage: Stage) -> Resize:
    """Adds simulated nodes, or takes the newest away, until there are so many."""
    there: list[str] = []

    def until(wanted: int) -> None:
        scene = stage.scene(f"{wanted} nodes instead of {len(there)}")
        fresh = [node(number) for number in range(len(there) + 1, wanted + 1)]
        remove_nodes(scene, there[wanted:])
        make_nodes(scene, fresh)
        wait_for_scheduler(scene, pod)
        there[wanted:] = [each["metadata"]["name"] for each in fresh]

    return until


@pytest.fixture(scope="module")
def scale(request: pytest.FixtureRequest, resize: Resize) -> int:
    """So many simulated nodes."""
    resize(request.param)
    return int(request.param)


@pytest.fixture(scope="module")
def size(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("load_pods"))


@pytest.fixture(scope="module")
def rate(pytestconfig: pytest.Config) -> float:
    return float(pytestconfig.getoption("load_rate"))


@pytest.fixture(scope="module")
def steady(stage: Stage, scale: int, size: int, rate: float) -> Loaded:
    """Independent arrivals at a rate that the scheduler keeps up with."""
    facts = {"arrivals": "Poisson", "rate (1/s)": rate, "nodes": scale}
    offsets = arrivals.poisson(rate, size, _SEED)
    return load(
        stage.scene(f"steady, {scale} nodes"), f"{scale} nodes", pod, size, offsets_ns=offsets, facts=facts
    )


@pytest.fixture(scope="module")
def burst(stage: Stage, scale: int, size: int) -> Loaded:
    """As many as the API server takes, as fast as it takes them."""
    facts = {"arrivals": "as fast as answered", "nodes": scale}
    return load(stage.scene(f"burst, {scale} nodes"), f"{scale} nodes", pod, size, facts=facts)


@pytest.fixture(scope="module")
def workload(request: pytest.FixtureRequest, stage: Stage, resize: Resize, size: int, rate: float) -> Loaded:
    """The same for pods of one kind, or with each pod gone soon after; or all pods of a DaemonSet at once."""
    kind: str = request.param
    resize(WORKLOAD_NODES)
    scene = stage.scene(f"workload {kind}")
    facts = {"nodes": WORKLOAD_NODES, "workload": kind}
    if kind == "DaemonSet":
        untainted = WORKLOAD_NODES - WORKLOAD_NODES // _TAINTED
        return load_daemon_set(scene, kind, daemon_set, untainted, facts)
    return load(
        scene, kind, WORKLOADS.get(kind, pod), size, offsets_ns=arrivals.poisson(rate, size, _SEED),
        facts={"arrivals": "Poisson", "rate (1/s)": rate, **facts},
        churn_s=_CHURN_S if kind == "churn" else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def started(stage: Stage, size: int) -> Loaded:
    """Pods that run, on real nodes, one a second. The client's watch tells of each once it runs."""
    count = min(size, _REAL_PODS)
    scene = stage.scene("started")
    wait_for_scheduler(scene, pause_pod)
    facts = {"arrivals": "constant", "rate (1/s)": _REAL_RATE, "nodes": stage.spec.nodes}
    return load(
        scene, "real nodes", pause_pod, count,
        offsets_ns=arrivals.constant(_REAL_RATE, count), watch="status.phase=Running", facts=facts,
        churn_s=_REAL_LIFE_S,
    )  # fmt: skip
