"""Mutants of loads: a link of a pod's chain was not seen, or came late, or in another order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kubewitness.checks.selecting import metadata
from kubewitness.latency.chain import CLIENT
from kubewitness.load.plan import Outcome
from kubewitness.model.history import History
from kubewitness.model.observation import ApiRequest, ApiResponse, Observation, WatchEvent
from tests.mutants.mutations import Matches, Mutation, drop

SIMULATED, REAL = "latency-insecure-simulated", "latency-insecure-standard"
BOUND, DELIVERY, THROUGHPUT = "latency/create-to-bound", "latency/watch-delivery", "latency/throughput"
WORKLOADS, RUNNING = "latency/workloads", "latency/create-to-running"
STARTUP, CALLS = "latency/startup-slo", "latency/api-calls"
SECOND_NS = 1_000_000_000
Histories = Callable[[History], History]
Spec = dict[str, Any]


def _posts(history: History) -> list[ApiRequest]:
    asked = (each for each in history.observations if isinstance(each, ApiRequest))
    return [each for each in asked if (each.verb, each.resource, each.subresource) == ("create", "pods", "")]


def _where(wanted: Callable[[Spec], bool], how: Histories) -> Histories:
    """Of the recordings in which the first pod that is created is such a one."""

    def mutate(history: History) -> History:
        posts = _posts(history)
        body: Any = posts[0].body if posts else None
        return how(history) if body and wanted(body["spec"]) else history

    return mutate


def _spread(spec: Spec) -> bool:
    return "topologySpreadConstraints" in spec


def _plain(spec: Spec) -> bool:
    return not spec.keys() & {"topologySpreadConstraints", "affinity", "tolerations", "priorityClassName"}


def _told(name: str) -> Matches:
    return lambda seen: (
        isinstance(seen, WatchEvent)
        and seen.request.headers.get("user-agent") == CLIENT
        and metadata(seen.object).get("name") == name
    )


def _binding(name: str) -> Matches:
    return lambda seen: (
        isinstance(seen, ApiRequest)
        and (seen.resource, seen.subresource, seen.name) == ("pods", "binding", name)
    )


def _to_scheduler(name: str) -> Matches:
    return lambda seen: (
        isinstance(seen, WatchEvent)
        and (seen.receiver.role, seen.type) == ("kube-scheduler", "ADDED")
        and metadata(seen.object).get("name") == name
    )


def _before_the_post(matches: Matches) -> Histories:
    """The first such message was there before anything else."""

    def mutate(history: History) -> History:
        first = history.observations[0].first_frame
        moved = [
            replace(each, first_frame=first, last_frame=first) if matches(each) else each
            for each in history.observations
        ]
        return replace(history, observations=tuple(sorted(moved, key=lambda each: each.last_frame)))

    return mutate


def _late(seconds: int) -> Histories:
    """Answers to patches of pods' status come so much later."""

    def one(seen: Observation) -> Observation:
        patched = isinstance(seen, ApiResponse) and seen.request.verb == "patch"
        return replace(seen, time_ns=seen.time_ns + seconds * SECOND_NS) if patched else seen

    return lambda history: replace(history, observations=tuple(map(one, history.observations)))


def _told_late(seconds: int) -> Callable[[Outcome], Outcome]:
    return lambda outcome: replace(
        outcome,
        delivered=[
            replace(each, delivered_ns=each.delivered_ns + seconds * SECOND_NS) for each in outcome.delivered
        ],
    )


def _never_told(name: str, loop: str) -> Callable[[Outcome], Outcome]:
    def mutate(outcome: Outcome) -> Outcome:
        if outcome.loop != loop:
            return outcome
        return replace(outcome, delivered=[each for each in outcome.delivered if each.name != name])

    return mutate


MUTATIONS = (
    Mutation(
        "a pod is bound that nobody bound", BOUND, _where(_plain, drop(_binding("p5"))),
        neighbours=frozenset({DELIVERY}), recording=SIMULATED,
    ),
    Mutation(
        "the scheduler binds what it was not told of", BOUND, _where(_plain, drop(_to_scheduler("p5"))),
        neighbours=frozenset({DELIVERY}), recording=SIMULATED,
    ),
    Mutation(
        "a client is not told of a binding", DELIVERY, _where(_plain, drop(_told("p5"))),
        neighbours=frozenset({BOUND}), recording=SIMULATED,
    ),
    Mutation(
        "a client is told before there is anything to tell", DELIVERY,
        _where(_plain, _before_the_post(_told("p5"))),
        neighbours=frozenset({BOUND}), recording=SIMULATED,
    ),
    Mutation(
        "a pod with constraints has no binding", WORKLOADS, _where(_spread, drop(_binding("p5"))),
        recording=SIMULATED,
    ),
    Mutation(
        "a pod of many is never bound", THROUGHPUT, outcome=_never_told("p5", "closed"), recording=SIMULATED
    ),
    Mutation(
        "a client is not told that a pod runs", RUNNING, drop(_told("p5")), recording=REAL
    ),
    Mutation("pods take six seconds more to start", STARTUP, outcome=_told_late(6), recording=REAL),
    Mutation("patches take two seconds more", CALLS, _late(2), recording=REAL),
)  # fmt: skip
