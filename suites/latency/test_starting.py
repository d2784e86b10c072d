"""Pods that run on real nodes, and the objectives that Kubernetes sets itself."""

from __future__ import annotations

from fixtures.benchmark import Measure
from fixtures.loads import Loaded, creating_pods, of_scheduler
from kubewitness.model.behaviour import ARTICLE, Kind, Source
from kubewitness.model.needs import CAPTURED_TRAFFIC, CONTROLLERS, READABLE_TRAFFIC, REAL_NODES
from kubewitness.reporting.behaviours import behaviour

_SLOS = "https://github.com/kubernetes/community/blob/master/sig-scalability/slos"
STARTUP = Source("Pod startup latency SLI/SLO details", f"{_SLOS}/pod_startup_latency.md")
CALLS = Source("API call latency SLIs/SLOs details", f"{_SLOS}/api_call_latency.md")
#: Those of a pod that a client's watch tells of only when it runs.
RUNNING = ("posted", "stored", "delivered", "binding", "bound", "running")
IN_SCHEDULER = "delivered to bound"
TO_RUNNING = (
    "From the moment at which the creator meant to send a pod's POST (its own clock) to the watch event that"
    " tells a client that all its containers run (wire)."
)
TO_OBSERVED = (
    "From the moment at which the creator meant to send a stateless pod's POST, its image being on the node,"
    " to a client's reading of the watch event by which it runs (both by the client's clock)."
)
TO_ANSWERED = (
    "From the first byte of a request to the last byte of its answer (wire), for each resource and verb, or"
    " scope; watches, subresources that are streams, and objects that are not stored do not count."
)


@behaviour(
    "latency/create-to-running",
    says="Every pod that is created at a given rate on real nodes runs, and the time from its intended"
    " creation to its status Running on a client's watch is measured, as its median and 99th percentile.",
    kind=Kind.MEASURED, source=ARTICLE, needs={READABLE_TRAFFIC, REAL_NODES, CONTROLLERS},
)  # fmt: skip
def test_create_to_running(started: Loaded, measure: Measure) -> None:
    started.must_be_complete(*RUNNING)
    facts = started.told_facts()
    measure(
        "create-to-running", TO_RUNNING,
        [
            ("created to running", started.between("intended", "running"), facts),
            ("created to bound", started.between("intended", "bound"), facts),
            ("bound to running", started.between("bound", "running"), facts),
            (IN_SCHEDULER, started.between("delivered", "bound"), facts),
        ],
        beside=started.beside(*of_scheduler(), series=IN_SCHEDULER),
    )  # fmt: skip


@behaviour(
    "latency/startup-slo",
    says="The 99th percentile of the startup time of stateless pods is at most 5 s, by the definition of the"
    " objective.",
    kind=Kind.MEASURED, source=STARTUP, needs={CAPTURED_TRAFFIC, REAL_NODES, CONTROLLERS},
)  # fmt: skip
def test_startup_slo(started: Loaded, measure: Measure) -> None:
    started.must_be_created()
    observed = started.until_told()
    measure("startup", TO_OBSERVED, [("created to observed running", observed, started.told_facts())])
    started.must_start_in_time()


@behaviour(
    "latency/api-calls",
    says="The 99th percentile of API call latency per resource and verb is within the objective's bounds, by"
    " its definition.",
    kind=Kind.MEASURED, source=CALLS, needs={READABLE_TRAFFIC, REAL_NODES, CONTROLLERS},
)  # fmt: skip
def test_api_calls(started: Loaded, measure: Measure) -> None:
    started.must_be_created()
    measure(
        "API call", TO_ANSWERED, started.by_call(),
        beside=started.beside(creating_pods(), series="create pods"),
    )  # fmt: skip
    started.must_answer_in_time()
