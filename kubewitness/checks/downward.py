"""What the downward API must say of a pod, by the pod object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from kubewitness.model.observation import ApiObject

_BY_KEY = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")
_QUANTITY = re.compile(r"^([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)$")
_POWERS = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def field(pod: ApiObject, path: str) -> str:
    """The value of a field that the downward API offers, such as ``metadata.labels['app']``; "" if unset."""
    if found := _BY_KEY.match(path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    part, _, name = path.partition(".")
    value = (pod.get(part) or {}).get(name) or ""
    match value:
        case list():  # podIPs, hostIPs
            return ",".join(str(each["ip"]) for each in value)
        case dict():
            return listed(value)
        case _:
            return str(value)


def listed(values: Mapping[str, str]) -> str:
    """All labels or annotations as a file holds them: sorted, one ``key="value"`` in each line, escaped."""
    return "\n".join(f"{key}={json.dumps(values[key])}" for key in sorted(values))


def quantity(text: str) -> Fraction:
    """A resource quantity such as 250m, 64Mi or 1e3 as a number."""
    found = _QUANTITY.match(text)
    if not found:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = Fraction(found[1]), found[2], found[3] or ""
    if exponent:
        return number * Fraction(f"1e{exponent}")
    base = 1024 if suffix.endswith("i") else 1000
    power = _POWERS[suffix.removesuffix("i").replace("K", "k")]
    return number * (Fraction(base**power) if power >= 0 else Fraction(1, base**-power))


def divided(amount: str, divisor: str) -> str:
    """How often the divisor goes into an amount, rounded up, as a container gets it."""
    return str(ceil(quantity(amount) / quantity(divisor)))
