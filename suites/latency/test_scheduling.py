"""Scheduling on simulated nodes: how long it takes, and how much of it there is."""

from __future__ import annotations

from fixtures.benchmark import Measure
from fixtures.loads import Loaded, creating_pods, of_scheduler
from kubewitness.model.behaviour import ARTICLE, Kind
from kubewitness.model.needs import ETCD_TRAFFIC, READABLE_TRAFFIC, SIMULATED_NODES
from kubewitness.reporting.behaviours import behaviour

BOTH = {READABLE_TRAFFIC, ETCD_TRAFFIC, SIMULATED_NODES}
TO_BOUND = (
    "From the moment at which the creator meant to send a pod's POST (its own clock) to etcd's answer to the"
    " Txn that stores the binding (wire)."
)
TO_WATCH = (
    "From the first sign of a write in etcd's traffic (its answer to the Txn or its watch event) to the last"
    " byte of the watch event that tells of it (wire)."
)
RATE = (
    "Pods that a client's watch told to be bound (client), in each half of a second since the first POST was"
    " sent. The rounds of the benchmark are the times that one of fifty in a row took."
)


@behaviour(
    "latency/create-to-bound",
    says="Every pod that is created at a given rate is bound, each link of its chain in order, and the time"
    " from its intended creation to its binding is measured, as its median and 99th percentile.",
    kind=Kind.MEASURED, source=ARTICLE, needs=BOTH,
)  # fmt: skip
def test_create_to_bound(steady: Loaded, measure: Measure) -> None:
    steady.must_be_complete()
    bound, scheduled = steady.between("intended", "bound"), steady.between("delivered", "bound")
    in_scheduler, posting = f"{steady.label}, delivered to bound", f"{steady.label}, POST to answer"
    measure(
        "create-to-bound", TO_BOUND,
        [
            (steady.label, bound, steady.told_facts()),
            (in_scheduler, scheduled, {}),
            (posting, steady.between("posted", "answered"), {}),
        ],
        beside=[
            *steady.beside(*of_scheduler(), series=in_scheduler),
            *steady.beside(creating_pods(), series=posting),
        ],
        point={
            "x": steady.facts["nodes"], "p50 (ms)": bound.ms(50), "p99 (ms)": bound.ms(99),
            "delivered to bound, p50 (ms)": scheduled.ms(50),
        },
    )  # fmt: skip


@behaviour(
    "latency/watch-delivery",
    says="Every write of a pod is delivered on each watch of it, and the time from its storing in etcd to its"
    " delivery is measured.",
    kind=Kind.MEASURED, source=ARTICLE, needs=BOTH,
)  # fmt: skip
def test_watch_delivery(steady: Loaded, measure: Measure) -> None:
    steady.must_be_complete()
    where, facts = steady.label, steady.told_facts()
    measure(
        "watch-delivery", TO_WATCH,
        [
            (f"{where}, to the scheduler", steady.between("committed", "delivered"), facts),
            (f"{where}, to a client", steady.between("binding_committed", "told"), facts),
        ],
    )  # fmt: skip


@behaviour(
    "latency/throughput",
    says="Every pod that is created as fast as the API server answers is bound, and the rate at which they"
    " are bound is measured at different numbers of nodes.",
    kind=Kind.MEASURED, source=ARTICLE, needs={SIMULATED_NODES},
)  # fmt: skip
def test_throughput(burst: Loaded, measure: Measure) -> None:
    burst.must_be_created()
    measure(
        "throughput", RATE, [(burst.label, burst.rates(), burst.told_facts())], rounds=burst.times_per_pod(),
        point={"x": burst.facts["nodes"], "throughput (1/s)": burst.throughput_per_s},
    )  # fmt: skip


@behaviour(
    "latency/workloads",
    says="Every pod with affinity, spread constraints, tolerations or a priority, every pod of a DaemonSet,"
    " and every pod that is soon deleted, is bound, and the time from its intended creation to its binding is"
    " measured.",
    kind=Kind.MEASURED, source=ARTICLE, needs=BOTH,
)  # fmt: skip
def test_workloads(workload: Loaded, measure: Measure) -> None:
    workload.must_be_complete()
    measure(
        "create-to-bound", TO_BOUND,
        [(workload.label, workload.between("intended", "bound"), workload.told_facts())],
        beside=workload.beside(*of_scheduler(), series=workload.label),
    )  # fmt: skip
