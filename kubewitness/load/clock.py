"""Time for a load: CLOCK_MONOTONIC, told as CLOCK_REALTIME, and waiting until shortly before a time."""

from __future__ import annotations

import select
import time
from pathlib import Path
from typing import Final

now = time.monotonic_ns
#: The kernel wakes up whoever waits this much too late, so that others may be woken with it.
_SLACK: Final = Path("/proc/self/timerslack_ns")
_TRIES: Final = 7
#: From so long on epoll's own time-out will do, less the millisecond that it may be late.
_COARSE_NS: Final = 3_000_000


def ahead_ns() -> int:
    """How far CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, by the least disturbed of some readings."""
    best, found = 0, 0
    for _ in range(_TRIES):
        before = now()
        real = time.time_ns()
        took = now() - before
        if not best or took < best:
            best, found = took, real - before - took // 2
    return found


def wake_up_punctually() -> None:
    """Lets the kernel end this thread's waiting as soon as it can. Where it refuses, that is 50 µs later."""
    try:
        _SLACK.write_text("1")
    except OSError:
        return


class Waiting:
    """One epoll. Its own time-out counts in milliseconds, that of select(2) in microseconds."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._of_epoll = [self._epoll.fileno()]
        self.spin_ns = 0
        self.register, self.modify, self.unregister = (
            self._epoll.register, self._epoll.modify, self._epoll.unregister,
        )  # fmt: skip

    def until(self, when: int, most: int) -> list[tuple[int, int]]:
        """At most ``most`` events, each a file descriptor and a mask, as soon as there are any.

        Comes back without any before ``when``, by ``spin_ns`` or more: it is then to be asked again.
        """
        left = when - now() - self.spin_ns
        if left >= _COARSE_NS:
            return self._epoll.poll((left // 1_000_000 - 1) / 1000, most)
        if left > 0 and not select.select(self._of_epoll, (), (), left / 1e9)[0]:
            return []
        return self._epoll.poll(0, most)
