"""Figures of a load that is over, from when its client was told of what."""

from __future__ import annotations

import pytest

from fixtures.loads import Loaded
from kubewitness.latency.objectives import Calls
from kubewitness.load.plan import Delivered, Outcome, Sent
from kubewitness.model.verdict import Broken, Inconclusive

MS = 1_000_000
POSTED = 7 * 1000 * MS


def loaded(delivered_ms: list[int], *, status: int = 201, untold: int = 0) -> Loaded:
    """Pods of which the client is told so long after the first POST; others that it is never told of."""
    names = [f"p{number}" for number in range(len(delivered_ms) + untold)]
    outcome = Outcome(
        began_ns=POSTED, ended_ns=POSTED + 1000 * MS, clock_shift_ns=0, connections=1, loop="closed",
        reconnected=0, processor_ns=0,
        sent=[Sent(name, "POST", POSTED, POSTED, POSTED + MS, status) for name in names],
        delivered=[
            Delivered(name, POSTED + at * MS, "ADDED") for name, at in zip(names, delivered_ms, strict=False)
        ],
    )  # fmt: skip
    return Loaded("x", "ns", outcome, dict.fromkeys(names, POSTED), {}, Calls(), (), ({}, {}))


@pytest.mark.parametrize("count", [1, 49, 50, 51, 100, 130])
def test_times_per_pod_add_up_to_the_whole(count: int) -> None:
    found = loaded([10 * (number + 1) for number in range(count)])
    samples = found.times_per_pod().of
    assert [took for _, took in samples] == [10 * MS] * -(-count // 50)
    assert samples[0][0] == POSTED
    assert found.throughput_per_s == pytest.approx(100)


def test_pods_that_are_told_at_once_take_time_all_the_same() -> None:
    assert [took for _, took in loaded([500] * 50).times_per_pod().of] == [10 * MS]


def test_rates_are_of_whole_half_seconds() -> None:
    found = loaded([100, 200, 499, 501, 1700]).rates()
    assert found.unit == "1/s"
    assert [rate / 1_000_000 for _, rate in found.of] == [6.0, 2.0, 0.0]
    assert [rate / 1_000_000 for _, rate in loaded([125, 250]).rates().of] == [8.0]


def test_a_pod_that_nobody_is_told_of_is_not_bound() -> None:
    with pytest.raises(
        Broken, match="p2 to be told to the client; saw nothing of it 1 s after the last POST"
    ):
        loaded([1, 2], untold=1).must_be_created()


def test_a_load_that_is_refused_measures_nothing() -> None:
    with pytest.raises(Inconclusive, match="p0 was answered by 409"):
        loaded([1], status=409).must_be_created()
