from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from kubewitness.latency import arrivals
from kubewitness.latency.queueing import expected_latencies

S = 10**9


def test_constant_arrivals_do_not_drift() -> None:
    assert arrivals.constant(3, 4) == [0, 333_333_333, 666_666_667, S]
    assert arrivals.constant(50, 100_001)[-1] == 2000 * S


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_ones() -> None:
    offsets = arrivals.poisson(50, 20_000, seed=1)
    gaps = [after - before for before, after in pairwise(offsets)]
    assert offsets == sorted(offsets) == arrivals.poisson(50, 20_000, seed=1)
    assert statistics.fmean(gaps) == pytest.approx(S / 50, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(S / 50, rel=0.03)
    assert offsets != arrivals.poisson(50, 20_000, seed=2)


def test_without_a_pause_nobody_waits() -> None:
    assert expected_latencies([0, 10, 20], (100, 200), latency_ns=3, service_ns=2) == [3, 3, 3]


def test_who_comes_in_a_pause_waits_for_its_end_and_for_those_before() -> None:
    found = expected_latencies([0, 10, 20, 30, 90], (15, 50), latency_ns=3, service_ns=7)
    assert found == [3, 3, 33, 30, 3]


def test_who_is_served_when_it_begins_waits_too() -> None:
    assert expected_latencies([0, 100], (2, 50), latency_ns=3, service_ns=1) == [53, 3]
