"""Protocol Buffers' wire format: field numbers and raw values, of whatever message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubewitness.wire.errors import DecodeError

_SIGN: Final = 1 << 63
_WRAP: Final = 1 << 64


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned varint at ``at`` and the place behind it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DecodeError(f"a varint at byte {at} of {len(data)} does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def signed(value: int) -> int:
    """An int32 or int64 from the varint that carried it."""
    return value - _WRAP if value >= _SIGN else value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field as (tag, value): an int for varints, the bytes for every other wire type.

    The tag is ``number << 3 | wire type`` as on the wire.
    """
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(data, at - 1)
        kind = tag & 7
        if kind == 0:
            number, at = varint(data, at)
            yield tag, number
            continue
        if kind == 2:
            if at < end and data[at] < 0x80:
                length, at = data[at], at + 1
            else:
                length, at = varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise DecodeError(f"field {tag >> 3} has wire type {kind}, which no message uses")
        if at + length > end:
            raise DecodeError(f"field {tag >> 3} claims {length} bytes where {end - at} are left")
        yield tag, data[at : at + length]
        at += length


def message(data: bytes) -> dict[int, int | bytes]:
    """A message without repeated fields, by field number; the last value wins."""
    return {tag >> 3: value for tag, value in fields(data)}


def number(found: dict[int, int | bytes], field: int) -> int:
    """A signed integer field, 0 when absent."""
    value = found.get(field, 0)
    if not isinstance(value, int):
        raise DecodeError(f"field {field} is no integer")
    return signed(value)


def octets(found: dict[int, int | bytes], field: int) -> bytes:
    """A length-delimited field, empty when absent."""
    value = found.get(field, b"")
    if not isinstance(value, bytes):
        raise DecodeError(f"field {field} is no byte string")
    return value


def text(data: int | bytes) -> str:
    try:
        return str(data, "utf-8")  # type: ignore[arg-type]
    except (UnicodeDecodeError, TypeError) as error:
        raise DecodeError(f"wanted text, found {data!r:.60}") from error
