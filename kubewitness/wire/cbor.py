"""CBOR (RFC 8949) as Kubernetes writes it, in the form that the API's JSON has.

Kubernetes writes its strings as byte strings, its bytes in the tag of what is
to become base64 (22), and a self-described tag (55799) before each object. It
reads more than that (indefinite lengths, times in tags, floats of any width)
and no more than JSON can say; so does this.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from kubewitness.wire.errors import DecodeError

#: A self-described object begins so; no JSON and no protobuf does.
MAGIC = b"\xd9\xd9\xf7"

#: Of lists, maps and tags within each other; objects of Kubernetes have some twenty at most.
_DEEPEST = 200
#: Of an item that only has to be passed over: so that it costs no more than one event.
_DEEPEST_PASSED = 1 << 16

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = -1
_BREAK = b"\xff"
_FLOATS = {25: "!e", 26: "!f", 27: "!d"}
_SIMPLES = {20: False, 21: True, 22: None}
_DATE_TEXT, _EPOCH_SECONDS, _BIGNUMS = 0, 1, (2, 3)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: What byte strings in these tags become in JSON (RFC 8949, 3.4.5.2).
_LATER: dict[int, Callable[[bytes], str]] = {
    21: lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii"),
    22: lambda data: base64.b64encode(data).decode("ascii"),
    23: lambda data: data.hex(),
}


def parsed_cbor(data: bytes) -> Any:
    """The value of the one data item in ``data``."""
    reader = _Reader(data)
    value = reader.value(0, None)
    if reader.at != len(data):
        raise DecodeError(f"{len(data) - reader.at} bytes are left behind {reader.at} bytes of CBOR")
    return value


def _head(data: bytes, at: int) -> tuple[int, int, int, int] | None:
    """Major type, additional information, argument and the place behind them; None if they are cut off."""
    major, more = data[at] >> 5, data[at] & 31
    at += 1
    if more < 24:
        return major, more, more, at
    if more == 31:
        if major in (_UNSIGNED, _NEGATIVE, _TAG):
            raise DecodeError(f"byte {data[at - 1]:#04x} begins no CBOR")
        return major, more, _INDEFINITE, at
    if more > 27:
        raise DecodeError(f"byte {data[at - 1]:#04x} begins no CBOR")
    end = at + (1 << more - 24)
    return (major, more, int.from_bytes(data[at:end], "big"), end) if end <= len(data) else None


class _Reader:
    """Reads values one after the other. Memory is taken for what is there, not for what a length claims."""

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def value(self, depth: int, later: int | None) -> Any:
        """The next value; ``later`` is the tag that byte strings in it are in."""
        if depth > _DEEPEST:
            raise DecodeError(f"CBOR is nested more than {_DEEPEST} deep")
        major, more, argument = self._next_head()
        if major == _MAP:
            return self._map(argument, depth, later)
        if major in (_BYTES, _TEXT):
            return self._string(major, argument, later)
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _LIST:
            return self._list(argument, depth, later)
        if major == _TAG:
            return self._tagged(argument, depth, later)
        return self._simple(more)

    def _next_head(self) -> tuple[int, int, int]:
        found = _head(self._data, self.at) if self.at < len(self._data) else None
        if found is None:
            raise DecodeError(f"{len(self._data)} bytes of CBOR are cut off")
        major, more, argument, self.at = found
        return major, more, argument

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise DecodeError(f"{len(self._data)} bytes of CBOR are cut off")
        self.at += count
        return taken

    def _broken(self) -> bool:
        """Whether something of indefinite length ends here."""
        if self._data[self.at : self.at + 1] != _BREAK:
            return False
        self.at += 1
        return True

    def _raw_string(self, major: int, argument: int) -> bytes:
        if argument != _INDEFINITE:
            return self._take(argument)
        parts = []
        while not self._broken():
            kind, _, length = self._next_head()
            if kind != major or length == _INDEFINITE:
                raise DecodeError("a string of indefinite length has a part that is no string")
            parts.append(self._take(length))
        return b"".join(parts)

    def _string(self, major: int, argument: int, later: int | None) -> str:
        raw = self._raw_string(major, argument)
        if major == _TEXT:
            try:
                return raw.decode()
            except UnicodeDecodeError as error:
                raise DecodeError(f"a text in CBOR is no UTF-8: {raw[:60]!r}") from error
        if later is not None:
            return _LATER[later](raw)
        return raw.decode("utf-8", "replace")  # as in JSON that is made of it

    def _list(self, count: int, depth: int, later: int | None) -> list[Any]:
        found = []
        while count and not (count == _INDEFINITE and self._broken()):
            found.append(self.value(depth + 1, later))
            count -= count > 0
        return found

    def _map(self, count: int, depth: int, later: int | None) -> dict[str, Any]:
        found = {}
        while count and not (count == _INDEFINITE and self._broken()):
            key = self.value(depth + 1, None)
            if not isinstance(key, str):
                raise DecodeError(f"a key in CBOR is no string: {key!r:.60}")
            found[key] = self.value(depth + 1, later)
            count -= count > 0
        return found

    def _tagged(self, tag: int, depth: int, later: int | None) -> Any:
        if tag in _BIGNUMS:
            raise DecodeError(f"a number in CBOR's tag {tag} has no place in Kubernetes")
        value = self.value(depth + 1, tag if tag in _LATER else later)
        if tag == _EPOCH_SECONDS:
            return _moment(value)
        if tag == _DATE_TEXT and not isinstance(value, str):
            raise DecodeError(f"a time in CBOR is no text: {value!r:.60}")
        return value

    def _simple(self, more: int) -> Any:
        if more in _SIMPLES:
            return _SIMPLES[more]
        if more not in _FLOATS:
            raise DecodeError(f"the simple value {more} of CBOR has no place in JSON")
        width = 1 << more - 24
        value: float = struct.unpack(_FLOATS[more], self._data[self.at - width : self.at])[0]
        if not math.isfinite(value):
            raise DecodeError(f"the number {value} has no place in JSON")
        return value


def _moment(seconds: Any) -> str:
    """RFC 3339, with a fraction where there is one."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise DecodeError(f"a time in CBOR is no number: {seconds!r:.60}")
    try:
        when = _EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise DecodeError(f"a time of {seconds} seconds is out of range") from error
    told = when.replace(tzinfo=None).isoformat()
    return (told.rstrip("0") if "." in told else told) + "Z"


class Sequence:
    """Finds where each data item of a CBOR sequence (RFC 8742) ends, whatever the borders of its pieces.

    What an item says does not matter. ``damage`` tells, once there is some, why nobody can know where the
    next one begins: a byte that begins no item, or a string or a list that claims more than ``largest``.
    """

    def __init__(self, largest: int) -> None:
        self.damage = ""
        self._largest = largest
        self._cut_off = b""  # the beginning of a head
        self._skipped = 0  # bytes of a string that are still to come
        self._open: list[int] = []  # items that the lists and maps around still lack
        self._length = 0  # of the current item, so far

    def feed(self, data: bytes) -> list[int]:
        """The lengths of the items that ``data`` completes; of those behind ``damage``, none."""
        ended: list[int] = []
        if not self.damage:
            try:
                self._find(data, ended)
            except DecodeError as error:
                self.damage = str(error)
        return ended

    def _find(self, data: bytes, ended: list[int]) -> None:
        data, at = self._cut_off + data, 0
        self._length -= len(self._cut_off)
        self._cut_off, begun = b"", 0
        while at < len(data):
            if self._skipped:
                step = min(self._skipped, len(data) - at)
                at += step
                self._skipped -= step
                complete = not self._skipped and self._completes()
            else:
                found = _head(data, at)
                if found is None:
                    self._cut_off = data[at:]
                    break
                major, _, argument, at = found
                complete = self._enters(major, argument)
            if complete:
                ended.append(self._length + at - begun)
                self._length, begun = 0, at
        self._length += len(data) - begun

    def _enters(self, major: int, argument: int) -> bool:
        """Whether the head of an item is the end of the outermost one, too."""
        if argument == _INDEFINITE:
            if major == _SIMPLE:
                return self._breaks()
            return self._descends(_INDEFINITE)
        if major in (_BYTES, _TEXT, _LIST, _MAP) and argument > self._largest:
            raise DecodeError(f"a part of CBOR claims {argument} bytes or items, more than {self._largest}")
        if major in (_LIST, _MAP) and argument:
            return self._descends(argument * 2 if major == _MAP else argument)
        if major in (_BYTES, _TEXT) and argument:
            self._skipped = argument
            return False
        return major != _TAG and self._completes()

    def _descends(self, items: int) -> bool:
        if len(self._open) >= _DEEPEST_PASSED:
            raise DecodeError(f"CBOR is nested more than {_DEEPEST_PASSED} deep")
        self._open.append(items)
        return False

    def _breaks(self) -> bool:
        if not self._open or self._open.pop() != _INDEFINITE:
            raise DecodeError("CBOR ends something that has no end of its own")
        return self._completes()

    def _completes(self) -> bool:
        """An item is complete: whether all that it is in are, too."""
        while self._open:
            if self._open[-1] == _INDEFINITE:
                return False
            self._open[-1] -= 1
            if self._open[-1]:
                return False
            self._open.pop()
        return True
