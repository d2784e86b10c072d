"""Kubernetes' service level objectives for API calls and pod start-up, by their published definitions.

https://github.com/kubernetes/community/tree/master/sig-scalability/slos
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kubewitness.latency.distribution import Distribution
from kubewitness.model.observation import ApiRequest, ApiResponse, Observation
from kubewitness.model.verdict import Violation

SECOND_NS = 1_000_000_000
#: Start-up of a schedulable stateless pod whose images are there: from its creation to the observation, by a
#: watch, that all containers have started.
STARTUP_NS = 5 * SECOND_NS
#: A call that changes one object, or reads one.
OBJECT_NS = SECOND_NS
#: A call that reads a namespace's or the cluster's objects.
COLLECTION_NS = 30 * SECOND_NS
WINDOW_NS = 300 * SECOND_NS
_MUTATING = frozenset({"create", "update", "patch", "delete"})
_READING = frozenset({"get", "list"})
#: Nothing of these is stored, and what is not stored is excluded: they are questions in the form of objects.
_VIRTUAL = "reviews"  # with which the names of all of them end
#: Of a subresource these are connections or what a node says, not processing.
_STREAMED = frozenset({"log", "exec", "attach", "portforward", "proxy"})


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """What the objective tells apart: (resource, verb) for changes, (resource, scope) for reads."""

    resource: str
    verb: str
    scope: str  # resource | namespace | cluster

    @property
    def limit_ns(self) -> int:
        return OBJECT_NS if self.scope == "resource" else COLLECTION_NS

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + ("" if self.scope == "resource" else f" ({self.scope})")


def call(request: ApiRequest) -> Call | None:
    """What kind of call a request is; None for one that the objective excludes."""
    resource = "/".join(filter(None, (request.resource, request.subresource)))
    custom = request.group not in _GROUPS and not request.group.endswith(".k8s.io")
    if custom or not resource or request.resource.endswith(_VIRTUAL) or request.subresource in _STREAMED:
        return None
    if request.verb in _MUTATING:
        return Call(resource, request.verb, "resource")
    if request.verb in _READING:
        scope = "resource" if request.name else "namespace" if request.namespace else "cluster"
        return Call(resource, request.verb, scope)
    return None


_GROUPS = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})


@dataclass(slots=True)
class Calls:
    """The latency of each answered call, from the first byte of its request to the last of its answer."""

    _samples: dict[Call, list[tuple[int, int, int]]] = field(default_factory=dict)

    def take(self, seen: Observation) -> None:
        if isinstance(seen, ApiResponse) and seen.status < 500 and (kind := call(seen.request)):
            took = seen.time_ns - seen.request.started_ns
            self._samples.setdefault(kind, []).append((seen.request.started_ns, took, seen.last_frame))

    def __iter__(self) -> Iterator[tuple[Call, tuple[tuple[int, int], ...]]]:
        """By kind of call, the most frequent first: when each began, and what it took."""
        for kind, samples in sorted(self._samples.items(), key=lambda each: (-len(each[1]), each[0])):
            yield kind, tuple((at, took) for at, took, _ in samples)

    def violations(self) -> Iterator[Violation]:
        """The kinds of call whose 99th percentile was above its bound in any window of five minutes."""
        for kind, samples in self._samples.items():
            for window in _windows(samples):
                p99 = Distribution.of(took for _, took, _ in window).percentile(99)
                if p99 > kind.limit_ns:
                    slowest = max(window, key=lambda each: each[1])
                    yield Violation(
                        f"the 99th percentile of {kind} to be at most {kind.limit_ns / SECOND_NS:g} s",
                        f"{p99 / SECOND_NS:.3f} s over {len(window)} calls",
                        (slowest[2],),
                    )


def _windows(samples: Iterable[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    by_window: dict[int, list[tuple[int, int, int]]] = {}
    begun = sorted(samples)
    for each in begun:
        by_window.setdefault((each[0] - begun[0][0]) // WINDOW_NS, []).append(each)
    yield from by_window.values()


def startup_violations(startups_ns: Mapping[str, tuple[int, int]]) -> Iterator[Violation]:
    """``startups_ns``: of each pod when it was created and how long it took until it was seen to run."""
    samples = [(at, took, 0) for at, took in startups_ns.values()]
    for window in _windows(samples):
        p99 = Distribution.of(took for _, took, _ in window).percentile(99)
        if p99 > STARTUP_NS:
            yield Violation(
                f"the 99th percentile of pod start-up to be at most {STARTUP_NS / SECOND_NS:g} s",
                f"{p99 / SECOND_NS:.3f} s over {len(window)} pods",
            )
