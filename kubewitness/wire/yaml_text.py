"""YAML as an API server reads it, in the form that the API's JSON has.

An API server reads YAML 1.1 but for what its reader (go.yaml.in/yaml/v2)
leaves out: no sexagesimal numbers, and times stay text. So the nodes come from
PyYAML, which the kubernetes client brings, and what they mean is told here.
PyYAML takes long to load and is slow: nothing imports this but a body of YAML.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from kubewitness.wire.errors import DecodeError

#: An API server reads no request over 3 MiB. Some 80 bytes of memory are taken for each byte.
_LARGEST = 4 << 20
_DEEPEST = 200
#: Values that aliases may add to those that are written out.
_MOST_ALIASED = 100_000

_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"  # of a scalar without quotes and tag: its text tells what it is
_READABLE = {f"{_TAG}{kind}" for kind in ("map", "seq", "null", "bool", "int", "float", "timestamp", "merge")}
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **{f".{word}": math.nan for word in ("nan", "NaN", "NAN")},
    **{f"{sign}.{word}": math.inf for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:[0-9]*\.)?[0-9]+(?:[eE][-+][0-9]+)?|\.[0-9]+[eE][0-9]+", re.ASCII)
_LARGEST_INTEGER, _SMALLEST_INTEGER = (1 << 64) - 1, -(1 << 63)
_LONGEST_NUMBER = 400


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes and leaves it to this module what plain text means."""

    def resolve(self, kind: Any, _value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else f"{_TAG}str"
        return f"{_TAG}seq" if kind is yaml.SequenceNode else f"{_TAG}map"


def parsed_yaml(data: bytes) -> Any:
    """The value of the first document in ``data``; None if there is none."""
    if len(data) > _LARGEST:
        raise DecodeError(f"YAML of {len(data)} bytes is not read, only up to {_LARGEST}")
    try:
        loader = _Loader(data)
        node = loader.get_node() if loader.check_node() else None
    # Of nodes that are too deep, and of a date in a tag, whose text is none.
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DecodeError(f"wanted YAML, found {data[:60]!r}: {error}") from error
    return None if node is None else _Values(len(data) + _MOST_ALIASED).value(node, 0)


class _Values:
    """Values of nodes. An alias gives a value again, so aliases of aliases could be without end."""

    def __init__(self, most: int) -> None:
        self._left = most

    def value(self, node: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise DecodeError("the aliases in YAML stand for more than is read")
        if depth > _DEEPEST:
            raise DecodeError(f"YAML is nested more than {_DEEPEST} deep, or within itself")
        if node.tag not in _READABLE and node.tag not in (_PLAIN, f"{_TAG}str"):
            raise DecodeError(f"YAML's tag {node.tag!r:.60} is not read")
        if isinstance(node, yaml.MappingNode):
            return self._map(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, depth + 1) for each in node.value]
        return node.value if node.tag == f"{_TAG}str" else _meaning(node.value)

    def _map(self, node: Any, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            value = self.value(value_node, depth + 1)
            if key_node.tag in (_PLAIN, f"{_TAG}merge") and key_node.value == "<<":
                self._merge(merged, value)
            else:
                found[_key(self.value(key_node, depth + 1))] = value
        return merged | found

    @staticmethod
    def _merge(into: dict[str, Any], value: Any) -> None:
        """Of several maps the first one counts."""
        for each in reversed(value) if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise DecodeError(f"YAML's << merges maps, found {each!r:.60}")
            into |= each


def _key(value: Any) -> str:
    """JSON has but text for keys."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    raise DecodeError(f"a key in YAML is no text: {value!r:.60}")


def _meaning(text: str) -> Any:
    """What text without quotes is."""
    if text in _WORDS:
        value = _WORDS[text]
        if isinstance(value, float):
            raise DecodeError(f"the number {text} has no place in JSON")
        return value
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        # Go's base 0, in which a leading 0 means octal.
        octal = re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", plain)
        number = int(octal, 0)
        if _SMALLEST_INTEGER <= number <= _LARGEST_INTEGER:
            return number
    return _finite(float(plain)) if _FLOAT.fullmatch(plain) else text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise DecodeError("a number in YAML is too large")
    return number
