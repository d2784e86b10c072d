"""A measurement as drawings: paths and positions for SVG, whose user units are per cent of width and height.

Pure: numbers in, numbers out. Each drawing has a text that says what it shows.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubewitness.reporting import amounts
from kubewitness.reporting.axes import Axis, linear, logarithmic
from kubewitness.reporting.measured import Measured, percentile

#: The percentiles that are marked in a distribution, each in a line of labels of its own.
_MARKED = (50, 99)
#: What a bin is wide at least, in decades and per cent, so that one of a single value is seen.
_DECADES_MIN, _WIDTH_MIN = 0.02, 0.4
#: How much of a panel's height the highest bar takes; the labels have the rest.
_TALLEST = 70.0
_NAMED = re.compile(r"(?P<name>[^()]+) \((?P<unit>[^()]+)\)")

Json = Mapping[str, Any]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A percentile at ``at``; its interval of confidence begins at ``low`` and is ``width`` wide.

    One that is open goes on to the axis' end; where nothing is known of it ``width`` is 0.
    """

    name: str
    value: str
    at: float
    low: float
    width: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """One series' histogram: the outline of its bars, and its marked percentiles. ``facts`` are its own."""

    series: Json
    facts: Json
    bars: str
    marks: tuple[Mark, ...]
    says: str


@dataclass(frozen=True, slots=True)
class Course:
    """One series over time: the outlines of median and maximum, of the band between, and of the counts."""

    series: Json
    median: str
    most: str
    band: str
    counts: str
    says: str


@dataclass(frozen=True, slots=True)
class Courses:
    """All on the same axes. An interval is ``width_s`` long, and has at most ``count`` samples."""

    time: Axis
    value: Axis
    width_s: float
    count: int
    each: tuple[Course, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """``path`` connects neighbours, ``dots`` are the points."""

    name: str
    path: str
    dots: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The lines of one unit over what the points differ in."""

    unit: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """``facts`` are those of the measurement, and those that all series have in common."""

    facts: Json
    axis: Axis
    distributions: tuple[Distribution, ...]
    courses: Courses | None
    panels: tuple[Panel, ...]
    names: tuple[str, ...]


def scale(measurements: Iterable[Measured]) -> Axis:
    """One axis for the distributions of all of these, which are in one unit."""
    told = list(measurements)
    return logarithmic((value for each in told for value in _values(each)), told[0]["unit"])


def _values(measured: Measured) -> Iterator[float]:
    for series in measured["series"]:
        for each in series["bins"]:
            if each["count"]:
                yield from (each["from"], each["to"])
        yield from (each["value"] for each in series["percentiles"] if each["p"] in _MARKED)


def chart(measured: Measured, axis: Axis) -> Chart:
    """All drawings of a measurement. ``axis`` is that of its distributions."""
    points = measured["curve"]["points"] if measured["curve"] else []
    names = tuple(dict.fromkeys(name for point in points for name in point if name != "x"))
    common = _common([each["facts"] for each in measured["series"]])
    return Chart(
        {**measured["facts"], **common},
        axis,
        tuple(_distribution(measured, each, axis, common) for each in measured["series"]),
        _courses(measured),
        tuple(_panels(measured, points, names)) if points else (),
        names,
    )


def _common(facts: Sequence[Json]) -> Json:
    return {
        name: value
        for name, value in facts[0].items()
        if all(name in each and each[name] == value for each in facts)
    }


def _distribution(measured: Measured, series: Json, axis: Axis, common: Json) -> Distribution:
    found = [entry for p in _MARKED if (entry := percentile(series, p))]
    marks = tuple(_mark(each, measured["unit"], axis) for each in found)
    own = {name: value for name, value in series["facts"].items() if name not in common}
    return Distribution(series, own, _bars(series["bins"], axis), marks, _says(measured, series, marks))


def _mark(entry: Json, unit: str, axis: Axis) -> Mark:
    low = 0.0 if entry["low"] is None else axis.at(entry["low"])
    high = 100.0 if entry["high"] is None else axis.at(entry["high"])
    width = 0.0 if entry["low"] is entry["high"] is None else high - low
    return Mark(f"p{entry['p']:g}", amounts.amount(entry["value"], unit), axis.at(entry["value"]), low, width)


def _says(measured: Measured, series: Json, marks: Sequence[Mark]) -> str:
    what = f"Distribution of {measured['quantity']}, {series['label']}"
    if not series["count"]:
        return f"{what}: no samples."
    ends = (amounts.amount(series[end], measured["unit"]) for end in ("min", "max"))
    told = "".join(f"; {each.name} is {each.value}" for each in marks)
    return f"{what}: {_samples(series['count'])} from {' to '.join(ends)}{told}."


def _samples(count: int) -> str:
    return f"{count:,} sample" if count == 1 else f"{count:,} samples"


def _bars(bins: Sequence[Json], axis: Axis) -> str:
    """The outline of the histogram. A bar's area is its share of the samples; the highest fills the panel."""
    bars = [(*_sides(each, axis), _density(each, axis)) for each in bins if each["count"]]
    tallest = max((density for _, _, density in bars), default=1.0)
    path: list[str] = []
    end = -1.0
    for left, right, density in bars:
        top = 100 - _TALLEST * density / tallest
        path.append(f"V{top:.2f}" if left == end else f"{'V100' if path else ''}M{left:.2f} 100V{top:.2f}")
        path.append(f"H{right:.2f}")
        end = right
    return "".join([*path, "V100"] if path else path)


def _sides(of: Json, axis: Axis) -> tuple[float, float]:
    left, right = axis.at(of["from"]), axis.at(of["to"])
    if right - left >= _WIDTH_MIN:
        return left, right
    left = min(max((left + right - _WIDTH_MIN) / 2, 0), 100 - _WIDTH_MIN)
    return left, left + _WIDTH_MIN


def _density(of: Json, axis: Axis) -> float:
    """Samples per decade."""
    decades = math.log10(max(of["to"], axis.low) / max(of["from"], axis.low))
    count: int = of["count"]
    return count / max(decades, _DECADES_MIN)


def _courses(measured: Measured) -> Courses | None:
    every = [(series, series["over_time"]) for series in measured["series"] if series["over_time"]]
    if not every:
        return None
    points = [point for _, those in every for point in those]
    steps = [
        after["at_s"] - before["at_s"] for _, those in every for before, after in itertools.pairwise(those)
    ]
    width_s = min(steps, default=1.0)
    begins, ends = min(each["at_s"] for each in points), max(each["at_s"] for each in points) + width_s
    time = linear(min(begins, 0.0), ends, "s")
    value = logarithmic((each[name] for each in points for name in ("p50", "max")), measured["unit"])
    count = max(each["count"] for each in points)
    courses = tuple(_course(measured, series, those, time, value, width_s, count) for series, those in every)
    return Courses(time, value, width_s, count, courses)


def _course(
    measured: Measured,
    series: Json,
    points: Sequence[Json],
    time: Axis,
    value: Axis,
    width_s: float,
    count: int,
) -> Course:
    median, most, band, counts = [], [], [], []
    for run in _runs(points, width_s):
        begins = [time.at(each["at_s"]) for each in run]
        ends = [*begins[1:], time.at(run[-1]["at_s"] + width_s)]
        spans = list(zip(begins, ends, strict=True))
        low = _steps(spans, [100 - value.at(each["p50"]) for each in run])
        high = _steps(spans, [100 - value.at(each["max"]) for each in run])
        median.append(_path(low))
        most.append(_path(high))
        band.append(_path([*high, *reversed(low)]) + "Z")
        bars = _steps(spans, [100 - 100 * each["count"] / max(count, 1) for each in run])
        counts.append(_path([(begins[0], 100), *bars, (ends[-1], 100)]) + "Z")
    medians, unit = [each["p50"] for each in points], measured["unit"]
    says = (
        f"Course of {measured['quantity']}, {series['label']}: in {len(points)} intervals of"
        f" {amounts.amount(width_s, 's')} the median is from {amounts.amount(min(medians), unit)} to"
        f" {amounts.amount(max(medians), unit)}, the maximum at most"
        f" {amounts.amount(max(each['max'] for each in points), unit)}."
    )
    return Course(series, "".join(median), "".join(most), "".join(band), "".join(counts), says)


def _runs(points: Sequence[Json], width_s: float) -> list[list[Json]]:
    """The points, split where intervals are left out."""
    runs: list[list[Json]] = []
    for each in points:
        if runs and each["at_s"] - runs[-1][-1]["at_s"] < 1.5 * width_s:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _steps(spans: Points, heights: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for span, y in zip(spans, heights, strict=True) for x in span]


def _path(points: Points) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)


def _panels(measured: Measured, points: Sequence[Json], names: Sequence[str]) -> Iterator[Panel]:
    """One panel for each unit, in the order in which the points name them."""
    ordered = sorted(points, key=lambda point: point["x"])
    places = [point["x"] for point in ordered]
    x = _over(places)
    units: dict[str, list[str]] = {}
    for name in names:
        units.setdefault(_unit(name), []).append(name)
    for unit, those in units.items():
        values = [point[name] for point in points for name in those if point.get(name) is not None]
        spread = amounts.is_time(unit) and max(values, default=0) >= 10 * min(values, default=0) > 0
        y = logarithmic(values, unit) if spread else linear(0, max(values, default=1), unit, rounded=True)
        lines = tuple(_line(name, ordered, x, y) for name in those)
        told = "; ".join(_told(name, unit, ordered) for name in those)
        yield Panel(unit, x, y, lines, f"{measured['quantity']} over {measured['curve']['x']}: {told}.")


def _over(places: Sequence[float]) -> Axis:
    """An axis from the first place to the last, with the places as its ticks where there is room."""
    low, high = places[0], places[-1]
    axis = Axis(low, high, "", logarithmic=0 < 10 * low <= high)
    if low == high:
        axis = Axis(low - 1, high + 1, "", logarithmic=False)
    kept: list[float] = []
    for place in reversed(places):
        if not kept or axis.at(kept[-1]) - axis.at(place) >= 9:
            kept.append(place)
    return axis.marked([(each, True) for each in reversed(kept)])


def _line(name: str, points: Sequence[Json], x: Axis, y: Axis) -> Line:
    """A point without the value interrupts the line."""
    path, dots, drawing = [], [], False
    for point in points:
        value = point.get(name)
        if value is not None:
            place = f"{x.at(point['x']):.2f} {100 - y.at(value):.2f}"
            path.append(f"{'L' if drawing else 'M'}{place}")
            dots.append(f"M{place}h0")
        drawing = value is not None
    return Line(name, "".join(path), "".join(dots))


def _told(name: str, unit: str, points: Sequence[Json]) -> str:
    values = [
        f"{amounts.amount(point[name], unit)} at {amounts.number(point['x'])}"
        for point in points
        if point.get(name) is not None
    ]
    return f"{_short(name)} {', '.join(values) or 'unknown'}"


def _short(name: str) -> str:
    return found["name"] if (found := _NAMED.fullmatch(name)) else name


def _unit(name: str) -> str:
    return found["unit"] if (found := _NAMED.fullmatch(name)) else ""
