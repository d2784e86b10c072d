"""What a benchmark measured: how a test hands it over, and what is told of it in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kubewitness.reporting import amounts

#: The member ``measured`` of a result; reports/results.schema.json describes it.
Measured = Mapping[str, Any]
#: Where a test leaves it: ``request.node.stash[MEASURED]``.
MEASURED = pytest.StashKey[Measured]()


@dataclass(frozen=True, slots=True)
class Headline:
    """Median and 99th percentile of one series, in ``unit``; None where there were too few samples."""

    series: str
    unit: str
    p50: float | None
    p99: float | None

    @property
    def text(self) -> str:
        """Both: 12.3 / 48.1 ms."""
        return amounts.together(self.unit, self.p50, self.p99)


def headline(measured: Measured) -> Headline | None:
    """What stands for the whole: the first series that has samples; None if none has."""
    series = next((each for each in measured["series"] if each["count"]), None)
    if series is None:
        return None
    median, high = percentile(series, 50), percentile(series, 99)
    return Headline(
        series["label"],
        measured["unit"],
        median["value"] if median else None,
        high["value"] if high else None,
    )


def percentile(series: Mapping[str, Any], p: float) -> Mapping[str, Any] | None:
    """The series' entry for this percentile, if it has one."""
    return next((each for each in series["percentiles"] if each["p"] == p), None)


@dataclass(frozen=True, slots=True)
class Beside:
    """One quantile of a metric of Kubernetes' own beside the same of ours.

    ``low`` and ``high`` bound the bucket that it is in, ``ours`` is the entry of our percentile: all in the
    measurement's unit. ``answer`` is in the bucket, above it, below it, or empty where ours is missing.
    """

    metric: Mapping[str, Any]
    series: str
    p: float
    low: float
    high: float | None
    ours: Mapping[str, Any] | None
    answer: str


def beside(measured: Measured) -> list[Beside]:
    """Each quantile of each metric, beside the series that the metric names, or else the first."""
    return [
        _beside(measured, metric, quantile)
        for metric in measured["beside"]
        for quantile in metric["quantiles"]
    ]


def _beside(measured: Measured, metric: Mapping[str, Any], quantile: Mapping[str, Any]) -> Beside:
    named = metric.get("series")
    series = next((each for each in measured["series"] if named in (None, each["label"])), None)
    ours = percentile(series, quantile["p"]) if series else None
    factor = amounts.factor(metric["unit"], measured["unit"])
    low, high = (None if each is None else each * factor for each in (quantile["low"], quantile["high"]))
    assert low is not None, "the schema wants a number"
    return Beside(
        metric, series["label"] if series else "", quantile["p"], low, high, ours, _answer(low, high, ours)
    )


def _answer(low: float, high: float | None, ours: Mapping[str, Any] | None) -> str:
    """Our value counts as in the bucket if its confidence interval reaches into it."""
    if ours is None:
        return ""
    least, most = (ours["value"] if ours[end] is None else ours[end] for end in ("low", "high"))
    if most < low:
        return "below it"
    if high is not None and least > high:
        return "above it"
    return "in the bucket"
