"""What a measurement must find, by arithmetic: a server that stands still for a while."""

from __future__ import annotations

from collections.abc import Sequence


def expected_latencies(
    arrivals_ns: Sequence[int], pause_ns: tuple[int, int], *, latency_ns: int, service_ns: int
) -> list[int]:
    """The latency of each arrival (ascending) at a server that serves one after the other.

    ``pause_ns`` is from when to when it stands still, ``latency_ns`` what one takes that meets no other, and
    ``service_ns`` the time between two departures while there is a queue. All on the same clock.
    """
    stopped, resumed = pause_ns
    latencies, before = [], -service_ns + min(arrivals_ns)
    for arrival in arrivals_ns:
        leaves = arrival + latency_ns
        if leaves > stopped and arrival < resumed:
            leaves = resumed + latency_ns
        before = max(leaves, before + service_ns)
        latencies.append(before - arrival)
    return latencies
