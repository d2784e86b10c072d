"""The arithmetic of the drawings: everything stands inside of them, whatever was measured."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.reporting import axes
from kubewitness.reporting.chart import Chart, chart, scale

Json = dict[str, Any]
#: From a nanosecond to a day, in milliseconds, and nothing at all.
VALUES = st.floats(1e-6, 1e8) | st.just(0.0)


def series(values: list[float], *, label: str = "all", times: list[int] | None = None) -> Json:
    """What would be measured of these values, each in a bin of its own."""
    found = sorted(values)
    percentiles = [
        {
            "p": p,
            "value": found[min(len(found) - 1, int(p / 100 * len(found)))],
            "low": found[0],
            "high": None,
        }
        for p in (50, 99)
        if found
    ]
    return {
        "label": label,
        "count": len(found),
        "mean": math.fsum(found) / len(found) if found else None,
        "min": min(found, default=None),
        "max": max(found, default=None),
        "percentiles": percentiles,
        "histogram": {"encoding": "none", "data": ""},
        "bins": [{"from": each, "to": each * 1.1, "count": 1} for each in found],
        "over_time": [
            {"at_s": at, "count": 1, "p50": each, "max": each * 2}
            for at, each in zip(times or range(len(values)), values, strict=False)
        ],
        "facts": {},
    }


def measurement(*those: Json, points: list[Json] | None = None) -> Json:
    curve = {"x": "nodes", "points": points} if points else None
    head = {"quantity": "delay", "unit": "ms", "definition": "From here to there."}
    return {**head, "series": list(those), "beside": [], "curve": curve, "facts": {}}


def drawn(measured: Json) -> Chart:
    return chart(measured, scale([measured]))


def paths(of: Chart) -> list[str]:
    found = [each.bars for each in of.distributions]
    for course in of.courses.each if of.courses else ():
        found += [course.median, course.most, course.band, course.counts]
    return found + [path for panel in of.panels for line in panel.lines for path in (line.path, line.dots)]


def numbers(path: str) -> list[float]:
    assert re.fullmatch(r"([MLVH]-?[\d.]+( -?[\d.]+)?|h0|Z)*", path), path
    return [float(each) for each in re.findall(r"-?[\d.]+", path)]


def assert_inside(of: Chart) -> None:
    places = [number for path in paths(of) for number in numbers(path)]
    for each in of.distributions:
        for mark in each.marks:
            places += [mark.at, mark.low, mark.width, mark.low + mark.width]
    drawings = [of.axis, *((of.courses.time, of.courses.value) if of.courses else ())]
    for axis in (*drawings, *(axis for panel in of.panels for axis in (panel.x, panel.y))):
        places += [tick.at for tick in axis.ticks]
        assert axis.low < axis.high
    assert all(-1e-9 <= each <= 100 + 1e-9 for each in places)


@settings(deadline=None)
@given(st.lists(st.lists(VALUES, max_size=12), min_size=1, max_size=4))
def test_all_is_inside_whatever_was_measured(values: list[list[float]]) -> None:
    assert_inside(drawn(measurement(*map(series, values))))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), VALUES | st.none(), VALUES), min_size=1, max_size=8))
def test_a_curve_is_inside_whatever_it_is_over(points: list[tuple[int, float | None, float]]) -> None:
    told = [{"x": x, "p50 (ms)": p50, "throughput (1/s)": rate} for x, p50, rate in points]
    found = drawn(measurement(series([1.0]), points=told))
    assert_inside(found)
    assert [panel.unit for panel in found.panels] == ["ms", "1/s"]


@settings(deadline=None)
@given(st.lists(VALUES, max_size=20))
def test_a_logarithmic_axis_holds_its_values_in_their_order(values: list[float]) -> None:
    axis = axes.logarithmic(values, "ms")
    places = [axis.at(each) for each in sorted(values)]
    assert places == sorted(places)
    assert 2 <= len([tick for tick in axis.ticks if tick.major]) <= 7
    for each in values:
        assert each == 0 or axis.low * 0.99 <= each <= axis.high * 1.01


@settings(deadline=None)
@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_linear_axis_has_a_few_round_ticks(low: float, more: float) -> None:
    axis = axes.linear(low, low + more, "s", rounded=True)
    assert axis.at(axis.low) == 0
    assert axis.at(axis.high) == 100
    assert len(axis.ticks) <= 7


def test_six_decades_are_labelled_in_the_unit_that_fits() -> None:
    axis = axes.logarithmic([0.001, 1000], "ms")
    assert [tick.label for tick in axis.ticks] == [
        "1 µs",
        "10 µs",
        "100 µs",
        "1 ms",
        "10 ms",
        "100 ms",
        "1 s",
    ]
    assert [tick.at for tick in axis.ticks] == pytest.approx([each * 100 / 6 for each in range(7)])
    assert [tick.label for tick in axis.ticks if tick.major] == ["1 µs", "100 µs", "10 ms", "1 s"]


def test_less_than_two_decades_are_labelled_in_between() -> None:
    assert [tick.label for tick in axes.logarithmic([3, 40], "pods/s").ticks] == ["2", "5", "10", "20", "50"]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), -1.0, 0.0])
def test_what_is_no_place_stands_at_the_low_end(value: float) -> None:
    assert axes.logarithmic([1, 10, value], "ms").at(value) == 0
    assert axes.linear(0, 1, "s").at(value) == 0


def test_an_empty_series_draws_nothing_and_says_so() -> None:
    found = drawn(measurement(series([])))
    (distribution,) = found.distributions
    assert (distribution.bars, distribution.marks, found.courses) == ("", (), None)
    assert distribution.says == "Distribution of delay, all: no samples."


def test_a_single_value_is_seen() -> None:
    only = {**series([5.0]), "bins": [{"from": 5.0, "to": 5.0, "count": 1}]}
    (distribution,) = drawn(measurement(only)).distributions
    left, _, top, right, _ = numbers(distribution.bars)
    assert right - left == pytest.approx(0.4)
    assert top == 30
    assert (
        distribution.says
        == "Distribution of delay, all: 1 sample from 5 ms to 5 ms; p50 is 5 ms; p99 is 5 ms."
    )


def test_a_bars_area_is_its_share() -> None:
    told = series([1.0, 100.0])
    told["bins"] = [{"from": 1, "to": 10, "count": 10}, {"from": 10, "to": 1000, "count": 10}]
    assert drawn(measurement(told)).distributions[0].bars == "M0.00 100V30.00H33.33V65.00H100.00V100"


def test_bins_that_are_apart_are_drawn_apart() -> None:
    told = series([1.0])
    bins = [(1, 2, 1), (2, 4, 0), (4, 8, 1), (8, 10, 0)]
    told["bins"] = [{"from": low, "to": high, "count": count} for low, high, count in bins]
    path = drawn(measurement(told)).distributions[0].bars
    assert path.count("M") == path.count("V100") == 2


def test_all_series_of_a_row_are_on_one_axis() -> None:
    one, other = measurement(series([1.0, 2.0])), measurement(series([500.0]))
    axis = scale([one, other])
    assert (axis.low, axis.high) == (1, 1000)
    assert chart(one, axis).distributions[0].marks[0].at < chart(other, axis).distributions[0].marks[0].at


def test_an_open_interval_of_confidence_goes_on_and_an_unknown_one_is_not_drawn() -> None:
    told = series([1.0, 10.0])
    told["percentiles"] = [
        {"p": 50, "value": 1.0, "low": None, "high": None},
        {"p": 99, "value": 9.0, "low": 5.0, "high": None},
    ]
    median, high = drawn(measurement(told)).distributions[0].marks
    assert (median.name, median.value, median.width) == ("p50", "1 ms", 0)
    assert (high.name, high.value, high.low + high.width) == ("p99", "9 ms", 100)


def test_a_course_is_interrupted_where_intervals_are_left_out() -> None:
    courses = drawn(measurement(series([1.0, 2.0, 3.0], times=[0, 2, 8]))).courses
    assert courses is not None
    assert (courses.width_s, courses.time.high, courses.count) == (2, 10, 1)
    (course,) = courses.each
    assert course.median.count("M") == course.counts.count("Z") == 2
    assert numbers(course.median)[::2] == [0, 20, 20, 40, 80, 100]
    assert course.says == (
        "Course of delay, all: in 3 intervals of 2 s the median is from 1 ms to 3 ms,"
        " the maximum at most 6 ms."
    )


def test_an_unknown_value_interrupts_a_line_and_is_not_told() -> None:
    told: list[Json] = [
        {"x": 1, "p99 (ms)": 2, "pods": 1}, {"x": 10, "p99 (ms)": None}, {"x": 100, "p99 (ms)": 8},
    ]  # fmt: skip
    latency, plain = drawn(measurement(series([1.0]), points=told)).panels
    (line,) = latency.lines
    assert (line.path.count("M"), line.dots.count("h0")) == (2, 2)
    assert [tick.label for tick in latency.x.ticks] == ["1", "10", "100"]
    assert latency.says == "delay over nodes: p99 2 ms at 1, 8 ms at 100."
    assert plain.unit == ""


def test_facts_that_all_series_have_are_told_once() -> None:
    one, other = series([1.0], label="a"), series([1.0], label="b")
    one["facts"], other["facts"] = {"rate (1/s)": 20, "loop": "open"}, {"rate (1/s)": 40, "loop": "open"}
    measured = measurement(one, other)
    measured["facts"] = {"client": "ours"}
    found = drawn(measured)
    assert found.facts == {"client": "ours", "loop": "open"}
    assert [each.facts for each in found.distributions] == [{"rate (1/s)": 20}, {"rate (1/s)": 40}]
