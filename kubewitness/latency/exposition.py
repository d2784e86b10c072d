"""What components say of themselves: the histograms of their metrics, in Prometheus' text format."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts by upper bound (seconds, the last is infinite), as the server has classed them."""

    bounds: tuple[tuple[float, float], ...]

    @property
    def count(self) -> float:
        return self.bounds[-1][1] if self.bounds else 0

    def since(self, before: Histogram | None) -> Histogram:
        """What was added after ``before``."""
        earlier = dict(before.bounds) if before else {}
        return Histogram(tuple((bound, count - earlier.get(bound, 0)) for bound, count in self.bounds))

    def __add__(self, other: Histogram) -> Histogram:
        theirs = dict(other.bounds)
        return Histogram(tuple((bound, count + theirs.get(bound, 0)) for bound, count in self.bounds))

    def bucket(self, percent: float) -> tuple[float, float]:
        """The class, in seconds, that a percentile is in. Nothing is interpolated."""
        if not self.count:
            raise ValueError("the histogram is empty")
        wanted, low = math.ceil(percent / 100 * self.count), 0.0
        for bound, count in self.bounds:
            if count >= wanted:
                return low, bound
            low = bound
        raise AssertionError("the last bound is infinite")


def histograms(text: str, name: str) -> dict[Labels, Histogram]:
    """The histogram family ``name`` by its labels (without ``le``)."""
    found: dict[Labels, list[tuple[float, float]]] = {}
    lines = "\n".join(line for line in text.splitlines() if name in line)  # the whole is megabytes
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            if sample.name == f"{name}_bucket":
                labels = {key: value for key, value in sample.labels.items() if key != "le"}
                bound = float(sample.labels["le"])
                found.setdefault(frozenset(labels.items()), []).append((bound, sample.value))
    return {labels: Histogram(tuple(sorted(bounds))) for labels, bounds in found.items()}


def added(
    before: str, after: str, name: str, matching: Callable[[Mapping[str, str]], bool] = lambda _: True
) -> Histogram | None:
    """What was added to a family between two answers, over all labels that match; None if nothing was."""
    earlier = histograms(before, name)
    total: Histogram | None = None
    for labels, histogram in histograms(after, name).items():
        if matching(dict(labels)):
            new = histogram.since(earlier.get(labels))
            total = new if total is None else total + new
    return total if total and total.count else None
