"""When an open loop means to send: nanoseconds after its start, one for each request."""

from __future__ import annotations

import random
from itertools import accumulate

SECOND_NS = 1_000_000_000


def constant(rate_per_s: float, count: int) -> list[int]:
    """One every ``1 / rate_per_s`` seconds, the first at once."""
    return [round(number * SECOND_NS / rate_per_s) for number in range(count)]


def poisson(rate_per_s: float, count: int, seed: int) -> list[int]:
    """Independent of each other, ``rate_per_s`` on average (exponential gaps). A seed has one outcome."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    return [round(at * SECOND_NS) for at in accumulate(chance.expovariate(rate_per_s) for _ in range(count))]
