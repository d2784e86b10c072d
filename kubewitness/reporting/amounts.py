"""Numbers with their units, as a person reads them: three digits that count, and a unit that fits."""

from __future__ import annotations

import math

#: Units of time, from small to large, in seconds.
_TIMES = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_ALIASES = {"us": "µs"}
_NONE = "\N{EN DASH}"


def number(value: float) -> str:
    """0.00123, 54.0, 1,235: three significant digits, but all of those before the point.

    A number that has fewer is told with these: 0.2, 20.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    text = f"{value:,.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text and math.isclose(rounded, value) else text


def is_time(unit: str) -> bool:
    return _ALIASES.get(unit, unit) in _TIMES


def factor(unit: str, wanted: str) -> float:
    """What a number in ``unit`` is multiplied by for ``wanted``. ValueError if that cannot be."""
    if unit == wanted:
        return 1.0
    if not (is_time(unit) and is_time(wanted)):
        raise ValueError(f"what is in {unit!r} cannot be told in {wanted!r}")
    return _TIMES[_ALIASES.get(unit, unit)] / _TIMES[_ALIASES.get(wanted, wanted)]


def amount(value: float, unit: str) -> str:
    """The number with its unit; a time in the unit that keeps it between 1 and 1,000."""
    return " ".join(_parts(value, unit))


def together(unit: str, *values: float | None) -> str:
    """Several amounts in a line, with the unit once if it is the same: 12.3 / 48.1 ms. A dash is for None."""
    texts, common = alike(unit, *values)
    return f"{' / '.join(texts)} {common}".rstrip()


def alike(unit: str, *values: float | None) -> tuple[list[str], str]:
    """Several amounts, and the unit that they have in common; if they have none, each has its own."""
    parts = [None if each is None else _parts(each, unit) for each in values]
    units = {each[1] for each in parts if each}
    if len(units) == 1:
        return [each[0] if each else _NONE for each in parts], units.pop()
    return [" ".join(each) if each else _NONE for each in parts], ""


def _parts(value: float, unit: str) -> tuple[str, str]:
    if not is_time(unit) or value == 0 or not math.isfinite(value):
        return number(value), unit
    seconds = value * _TIMES[_ALIASES.get(unit, unit)]
    # 999.6 ms would be told as 1,000 ms: what counts is the rounded number.
    fitting = [name for name, size in _TIMES.items() if abs(float(f"{seconds / size:.3g}")) >= 1] or ["ns"]
    return number(seconds / _TIMES[fitting[-1]]), fitting[-1]
