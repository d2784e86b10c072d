"""Where a value stands on an axis, in per cent of its length, and where the axis is labelled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubewitness.reporting import amounts

#: What is drawn. Nothing that is measured here is beyond: a picosecond in seconds, ten days in nanoseconds.
_LEAST, _MOST = 1e-12, 1e15
#: An axis with fewer powers of ten than two is labelled between them, too.
_LABELS_MAX = 12
_ROUND = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Tick:
    """``at`` per cent. ``major`` ones are labelled where there is little room, too; some have no label."""

    at: float
    label: str
    major: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """From ``low`` to ``high``, which is more; above 0 if it is logarithmic."""

    low: float
    high: float
    unit: str
    logarithmic: bool
    ticks: tuple[Tick, ...] = ()

    def at(self, value: float) -> float:
        """Per cent from the low end. What is beyond an end, or no number, stands at an end."""
        if not value > self.low:
            return 0.0
        if value >= self.high:
            return 100.0
        if self.logarithmic:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def marked(self, values: Sequence[tuple[float, bool]]) -> Axis:
        """The same with ticks at these values; those that are True are major."""
        ticks = tuple(Tick(self.at(value), self._told(value), major) for value, major in values)
        return Axis(self.low, self.high, self.unit, self.logarithmic, ticks)

    def _told(self, value: float) -> str:
        return amounts.amount(value, self.unit) if amounts.is_time(self.unit) else amounts.number(value)


def logarithmic(values: Iterable[float], unit: str) -> Axis:
    """An axis between round numbers that holds all of these that are above 0."""
    found = [min(max(each, _LEAST), _MOST) for each in values if each > 0 and math.isfinite(each)] or [1.0]
    low, high = _round(min(found), up=False), _round(max(found), up=True)
    if low == high:
        low, high = _round(low * 0.9, up=False), _round(high * 1.1, up=True)
    return Axis(low, high, unit, logarithmic=True).marked(_logarithmic_ticks(low, high))


def _logarithmic_ticks(low: float, high: float) -> list[tuple[float, bool]]:
    """Powers of ten, and between them 2 and 5 if there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [
        (step * 10.0**exponent, step == 1)
        for exponent in range(first, last + 1)
        for step in (1, 2, 5)
        if low * 0.999 <= step * 10.0**exponent <= high * 1.001
    ]
    tens = [each for each in every if each[1]]
    if len(tens) < 2:
        return [(value, True) for value, _ in every]
    if len(every) <= _LABELS_MAX:
        return every
    # From the top down every second, third, … is major, so that there is room for their labels.
    stride = math.ceil(len(tens) / 4)
    return [(value, (len(tens) - 1 - number) % stride == 0) for number, (value, _) in enumerate(tens)]


def linear(low: float, high: float, unit: str, *, rounded: bool = False) -> Axis:
    """An axis from ``low`` to ``high``, or to the next round number above it."""
    high = high if high - low > 1e-9 * max(low, 1) else low + 1
    step = _round((high - low) / 5, up=True)
    if rounded:
        high = low + step * math.ceil((high - low) / step * 0.999999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [(number * step, (number - first) % 2 == 0) for number in range(first, last + 1)]
    return Axis(low, high, unit, logarithmic=False).marked(ticks)


def _round(value: float, *, up: bool) -> float:
    """The next 1, 2 or 5 times a power of ten, upwards or downwards; the value itself if it is one."""
    power = 10.0 ** math.floor(math.log10(value))
    if up:
        return next(step * power for step in _ROUND if step * power >= value * 0.999999)
    return next(step * power for step in reversed(_ROUND) if step * power <= value * 1.000001)
