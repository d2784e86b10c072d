"""Samples told as a distribution: percentiles with their confidence, a histogram, and what changes count."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hdrh.histogram import HdrHistogram

MS_NS = 1_000_000
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
HDR = "HdrHistogram V2 (zlib, base64), microseconds"
HDR_RATES = "HdrHistogram V2 (zlib, base64), thousandths"
_LONGEST_US = 3_600_000_000
_DIGITS = 3
_BINS_A_DECADE = 10


class NegativeSample(ValueError):
    """An effect before its cause: clocks that do not agree, or a wrong pair of stamps."""


@dataclass(frozen=True)
class Distribution:
    """Latencies in nanoseconds, ascending; at least one. None is negative, and none was clamped."""

    samples_ns: tuple[int, ...]

    @classmethod
    def of(cls, samples_ns: Iterable[int]) -> Distribution:
        """Raises NegativeSample."""
        ordered = tuple(sorted(samples_ns))
        if not ordered:
            raise ValueError("no sample at all")
        if ordered[0] < 0:
            count = sum(each < 0 for each in ordered)
            raise NegativeSample(f"{count} of {len(ordered)} samples are negative, the least {ordered[0]} ns")
        return cls(ordered)

    def percentile(self, percent: float) -> int:
        """The least sample that at least ``percent`` % of all samples do not exceed (nearest rank)."""
        rank = math.ceil(percent / 100 * len(self.samples_ns))
        return self.samples_ns[max(0, rank - 1)]

    @property
    def median(self) -> int:
        return self.percentile(50)

    def interval(self, percent: float, confidence: float = 0.95) -> tuple[int, int] | None:
        """Bounds of that percentile, from order statistics: no shape of the distribution is assumed.

        That the samples are independent is assumed, which those of a queue are only in part. None if there
        are too few of them for such bounds.
        """
        count, share = len(self.samples_ns), percent / 100
        tail, below = (1 - confidence) / 2, 0.0
        low = high = -1
        for rank in range(count + 1):  # how many samples are below the true percentile: a binomial
            below += _binomial(count, rank, share)
            if low < 0 and below > tail:
                low = rank
            if high < 0 and below >= 1 - tail:
                high = rank
                break
        if low < 1 or not 0 <= high < count:
            return None
        return self.samples_ns[low - 1], self.samples_ns[high]

    @cached_property
    def hdr(self) -> str:
        """All samples, to three digits, as HdrHistogram writes them; tools of other projects read it."""
        histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
        for each in self.samples_ns:
            histogram.record_value(max(1, round(each / 1000)))
        return bytes(histogram.encode()).decode()

    def bins(self) -> list[dict[str, Any]]:
        """Counts in logarithmic classes, ten to a decade, from the first that has a sample to the last."""
        edges: dict[int, int] = {}
        for each in self.samples_ns:
            place = math.floor(math.log10(max(each, 1)) * _BINS_A_DECADE)
            edges[place] = edges.get(place, 0) + 1
        return [
            {
                "from": 10 ** (place / _BINS_A_DECADE) / MS_NS,
                "to": 10 ** ((place + 1) / _BINS_A_DECADE) / MS_NS,
                "count": edges.get(place, 0),
            }
            for place in range(min(edges), max(edges) + 1)
        ]

    def told(self, encoding: str = HDR) -> dict[str, Any]:
        """For the results, in milliseconds; or whatever else a millionth of which the samples count."""
        percentiles = []
        for percent in PERCENTILES:
            bounds = self.interval(percent)
            low, high = (each / MS_NS for each in bounds) if bounds else (None, None)
            value = self.percentile(percent) / MS_NS
            percentiles.append({"p": percent, "value": value, "low": low, "high": high})
        return {
            "count": len(self.samples_ns),
            "mean": statistics.fmean(self.samples_ns) / MS_NS,
            "min": self.samples_ns[0] / MS_NS,
            "max": self.samples_ns[-1] / MS_NS,
            "percentiles": percentiles,
            "histogram": {"encoding": encoding, "data": self.hdr},
            "bins": self.bins(),
        }


def _binomial(count: int, hits: int, share: float) -> float:
    """The chance of so many hits. Logarithms, since the factors are out of a float's range."""
    return math.exp(
        math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
        + hits * math.log(share) + (count - hits) * math.log1p(-share)
    )  # fmt: skip


def over_time(samples: Iterable[tuple[int, int]], step_ns: int = 1_000_000_000) -> list[dict[str, Any]]:
    """``samples`` are pairs of when one began and what it took, in ns; by the second in which they began."""
    steps: dict[int, list[int]] = {}
    begun = sorted(samples)
    for at_ns, took_ns in begun:
        steps.setdefault((at_ns - begun[0][0]) // step_ns, []).append(took_ns)
    return [
        {
            "at_s": place * step_ns / 1_000_000_000,
            "count": len(took),
            "p50": statistics.median(took) / MS_NS,
            "max": max(took) / MS_NS,
        }
        for place, took in sorted(steps.items())
    ]


#: Two-sided 95 % quantiles of Student's t by degrees of freedom; the last stands for all that are larger.
_STUDENT_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repeatability:
    """What runs of the same thing say of a benchmark. ``smallest_change`` is a share of the mean."""

    runs: int
    mean: float
    deviation: float
    smallest_change: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Repeatability:
        """Of one figure for each run, at least two.

        The smallest change that two sets of as many runs tell apart at 95 %: half the width of the interval
        of the difference of their means.
        """
        mean, deviation = statistics.fmean(figures), statistics.stdev(figures)
        freedom = 2 * (len(figures) - 1)
        student = _STUDENT_T[min(freedom, len(_STUDENT_T)) - 1]
        return cls(len(figures), mean, deviation, student * deviation * math.sqrt(2 / len(figures)) / mean)
