from __future__ import annotations

import base64
import math
import random
import statistics
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.latency.distribution import MS_NS, Distribution, NegativeSample, Repeatability, over_time

SAMPLES = st.lists(st.integers(0, 3_600 * 10**9), min_size=1, max_size=200)


@given(SAMPLES, st.sampled_from([1.0, 50.0, 90.0, 99.0, 100.0]))
def test_a_percentile_is_a_sample_that_enough_do_not_exceed(samples: list[int], percent: float) -> None:
    value = Distribution.of(samples).percentile(percent)
    assert value in samples
    assert sum(each <= value for each in samples) >= percent / 100 * len(samples)
    assert sum(each < value for each in samples) < percent / 100 * len(samples)


def test_a_negative_sample_is_told_and_not_clamped() -> None:
    with pytest.raises(NegativeSample, match="1 of 3 samples are negative, the least -5 ns"):
        Distribution.of([3, -5, 0])


@pytest.mark.parametrize("percent", [50.0, 90.0, 99.0])
def test_an_interval_holds_the_true_percentile_about_as_often_as_it_says(percent: float) -> None:
    chance, hits = random.Random(7), 0  # noqa: S311 - samples, no secret
    truth = -math.log(1 - percent / 100) * 10**9
    for _ in range(300):
        found = Distribution.of(round(chance.expovariate(1) * 10**9) for _ in range(1000)).interval(percent)
        assert found is not None
        hits += found[0] <= truth <= found[1]
    assert 0.92 < hits / 300 <= 1


def test_too_few_samples_have_no_interval() -> None:
    assert Distribution.of(range(100)).interval(99.9) is None
    assert Distribution.of([1]).interval(50) is None


@given(SAMPLES)
def test_the_classes_hold_every_sample_once(samples: list[int]) -> None:
    bins = Distribution.of(samples).bins()
    assert sum(each["count"] for each in bins) == len(samples)
    inside = [each for each in samples if each > 0 and bins[0]["from"] * MS_NS * 0.999 <= each]
    assert len(inside) == sum(each > 0 for each in samples)
    assert bins[-1]["to"] * MS_NS * 1.001 >= max(samples)


def test_the_histogram_is_what_other_tools_read() -> None:
    samples = [round(-math.log(number / 1001) * 50 * MS_NS) for number in range(1, 1001)]
    told = Distribution.of(samples).told()
    payload = base64.b64decode(told["histogram"]["data"])
    assert zlib.decompress(payload[8:])
    histogram = HdrHistogram.decode(told["histogram"]["data"])
    assert histogram.get_total_count() == 1000
    assert histogram.get_value_at_percentile(99) / 1000 == pytest.approx(
        told["percentiles"][2]["value"], rel=2e-3
    )


def test_over_time_is_by_the_second_in_which_it_began() -> None:
    told = over_time([(10**9, 4 * MS_NS), (10**9 + 1, 8 * MS_NS), (int(3.5 * 10**9), MS_NS)])
    assert told == [
        {"at_s": 0.0, "count": 2, "p50": 6.0, "max": 8.0},
        {"at_s": 2.0, "count": 1, "p50": 1.0, "max": 1.0},
    ]


def test_the_smallest_change_is_as_small_as_runs_agree() -> None:
    found = Repeatability.of([100, 102, 98, 101, 99])
    assert found.mean == 100
    assert found.deviation == pytest.approx(statistics.stdev([100, 102, 98, 101, 99]))
    assert found.smallest_change == pytest.approx(2.306 * found.deviation * math.sqrt(2 / 5) / 100)
