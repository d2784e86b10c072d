"""The Kubernetes types whose JSON is not the JSON of their protobuf fields."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.fields import message, number, octets, signed, text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."


def parsed_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"wanted JSON, found {data[:60]!r}: {error}") from error


@lru_cache(maxsize=1024)
def _moment(data: bytes, precision: str) -> str | None:
    if not data:
        return None
    found = message(data)
    try:
        when = _EPOCH + timedelta(seconds=number(found, 1), microseconds=number(found, 2) // 1000)
    except OverflowError as error:
        raise DecodeError(f"a time of {number(found, 1)} seconds is out of range") from error
    return when.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def time(data: bytes) -> str | None:
    """RFC 3339 in whole seconds; None for the zero time."""
    return _moment(data, "seconds")


def micro_time(data: bytes) -> str | None:
    return _moment(data, "microseconds")


def duration(data: bytes) -> str:
    """As Go's time.Duration prints itself: ``1h2m3.5s``, ``100ms``, ``0s``."""
    total = number(message(data), 1)
    left = abs(total)
    sign = "-" if total < 0 else ""
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if 0 < left < size * 1000:
            return f"{sign}{_decimal(left, size)}{unit}"
    minutes, rest = divmod(left, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{shown}{_decimal(rest, 1_000_000_000)}s"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def quantity(data: bytes) -> str:
    return text(octets(message(data), 1)) or "0"


def int_or_string(data: bytes) -> int | str:
    found = message(data)
    return text(octets(found, 3)) if number(found, 1) else number(found, 2)


def raw_json(data: bytes) -> Any:
    """FieldsV1 and apiextensions' JSON: bytes that are JSON already."""
    raw = octets(message(data), 1)
    return parsed_json(raw) if raw else None


def floating(value: int | bytes) -> float:
    if not isinstance(value, bytes) or len(value) != 8:
        raise DecodeError(f"wanted a double, found {value!r:.60}")
    result: float = struct.unpack("<d", value)[0]
    return result


def integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise DecodeError(f"wanted an integer, found {value!r:.60}")
    return signed(value)


def boolean(value: int | bytes) -> bool:
    return integer(value) != 0


def encoded(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise DecodeError("wanted bytes, found an integer")
    return base64.b64encode(value).decode("ascii")


#: Of each scalar type of a proto file: its wire type and how its value is read.
SCALARS: dict[str, tuple[int, Callable[[int | bytes], Any]]] = {
    "string": (2, text),
    "bytes": (2, encoded),
    "bool": (0, boolean),
    "int32": (0, integer),
    "int64": (0, integer),
    "double": (1, floating),
}

#: Of each message with a JSON of its own: how it is read.
SPECIAL: dict[str, Callable[[bytes], Any]] = {
    f"{_META}Time": time,
    f"{_META}MicroTime": micro_time,
    f"{_META}Duration": duration,
    f"{_META}FieldsV1": raw_json,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": quantity,
    "k8s.io.apimachinery.pkg.api.resource.QuantityValue": quantity,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": int_or_string,
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": raw_json,
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1beta1.JSON": raw_json,
}
