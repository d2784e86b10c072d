"""What is told of a measurement in a line, and beside Kubernetes' own metrics."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.reporting import amounts
from kubewitness.reporting.measured import beside, headline

Json = dict[str, Any]


def test_the_first_series_with_samples_is_the_headline(measured: Json) -> None:
    found = headline(measured)
    assert found is not None
    assert (found.series, found.text) == ("100 nodes, plain pods", "6.18 / 22.8 ms")
    measured["series"][0]["count"] = 0
    found = headline(measured)
    assert found is not None
    assert found.series == "1,000 nodes, plain pods"
    for each in measured["series"]:
        each["count"] = 0
    assert headline(measured) is None


def test_a_percentile_that_is_not_there_is_a_dash(measured: Json) -> None:
    measured["series"][0]["percentiles"] = measured["series"][0]["percentiles"][:1]
    found = headline(measured)
    assert found is not None
    assert found.text == "6.18 / \N{EN DASH} ms"
    measured["series"][0]["percentiles"] = []
    found = headline(measured)
    assert found is not None
    assert found.text == "\N{EN DASH} / \N{EN DASH}"


def test_a_quantile_stands_beside_ours_in_our_unit(measured: Json) -> None:
    found = [(each.series, each.p, each.low, each.high, each.answer) for each in beside(measured)]
    assert found == [
        ("100 nodes, plain pods", 50, 4, 8, "in the bucket"),
        ("100 nodes, plain pods", 99, 8, 16, "in the bucket"),
        ("100 nodes, plain pods", 50, pytest.approx(1), pytest.approx(2), "above it"),
        ("100 nodes, plain pods", 99, pytest.approx(4), pytest.approx(8), "above it"),
        ("5,000 nodes, plain pods", 50, 16, 32, "in the bucket"),
        ("5,000 nodes, plain pods", 99, 128, None, "in the bucket"),
    ]


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (6.297, 8, "in the bucket"),
        (6.298, 8, "below it"),
        (4, 6.067, "in the bucket"),
        (4, 6.066, "above it"),
    ],
)
def test_the_confidence_interval_decides(low: float, high: float, answer: str, measured: Json) -> None:
    measured["beside"][0]["quantiles"] = [{"p": 50, "low": low, "high": high}]
    assert beside(measured)[0].answer == answer


def test_a_quantile_that_was_not_measured_has_no_answer(measured: Json) -> None:
    measured["beside"][0]["quantiles"][0]["p"] = 75
    first = beside(measured)[0]
    assert (first.ours, first.answer) == (None, "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.00123, "0.00123"), (0.9996, "1.00"), (9.996, "10.0"), (20.0, "20"), (0.2, "0.2"),
        (12.34, "12.3"), (99.96, "100"),
        (1234.5, "1,234"), (5e6, "5,000,000"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert amounts.number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "ms", "12.3 ms"), (0.0456, "ms", "45.6 µs"), (999.4, "ms", "999 ms"), (999.6, "ms", "1.00 s"),
        (0, "ms", "0 ms"), (90_000, "ms", "90 s"), (1.5, "us", "1.5 µs"), (0.2, "ns", "0.2 ns"),
        (412.5, "1/s", "412 1/s"),
    ],
)  # fmt: skip
def test_times_are_told_in_the_unit_that_fits(value: float, unit: str, text: str) -> None:
    assert amounts.amount(value, unit) == text


def test_amounts_of_different_units_are_told_with_each() -> None:
    assert amounts.together("ms", 0.87, 12.3) == "870 µs / 12.3 ms"
    assert amounts.together("pods/s", 0.87, 12.3) == "0.87 / 12.3 pods/s"
