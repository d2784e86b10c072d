"""What bytes were read as before: an object travels to etcd, from it, and to each who watches it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

_ABSENT = object()


class Memo:
    """Remembers up to twice ``most_bytes`` bytes of what was read, and forgets what was not met for longest.

    What it gives out is shared by all who read the same bytes, so none may change it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0  # of the younger generation
        self._young: dict[Hashable, Any] = {}
        self._old: dict[Hashable, Any] = {}

    def read(self, read: Callable[[bytes], Any], data: bytes) -> Any:
        """``read(data)``, which is called only if its result is not remembered."""
        key = (read, data)
        found = self._young.get(key, _ABSENT)
        if found is _ABSENT:
            found = self._old.get(key, _ABSENT)
            if found is _ABSENT:
                found = read(data)
            self._young[key] = found
            self._bytes += len(data)
            if self._bytes > self._most_bytes:
                self._old, self._young, self._bytes = self._young, {}, 0
        return found
