"""The values that one object passes through, on histories that are made up."""

from __future__ import annotations

import pytest

from kubewitness.checks.workloads import Check, passes_through
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import ApiObject, Change


def history(*passed: tuple[str, int]) -> History:
    """Objects by their names, each with a value, as events of them came."""
    changes = tuple(
        Change(position=at, time_ns=at, collection="/things", type="MODIFIED",
               object={"metadata": {"name": name}, "value": value})
        for at, (name, value) in enumerate(passed, start=1)
    )  # fmt: skip
    return History((), (), CaptureStatistics(0, 0, ()), changes=changes)


def value(obj: ApiObject) -> object:
    return obj["value"]


@pytest.fixture
def one_two_one() -> Check:
    return passes_through("/things", "ours", "values", value, 1, 2, 1)


def test_each_value_may_last_for_many_events(one_two_one: Check) -> None:
    seen = history(
        ("ours", 1), ("theirs", 9), ("ours", 1), ("ours", 2), ("theirs", 8), ("ours", 1), ("ours", 1)
    )
    assert one_two_one(seen) == []


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 1, 2), (2, 1), (1, 3, 1), (1,), ()], ids=str)
def test_other_values_are_told(values: tuple[int, ...], one_two_one: Check) -> None:
    (found,) = one_two_one(history(*(("ours", each) for each in values)))
    assert found.wanted == "values of ours: [1, 2, 1]"
    assert found.seen == str([*values])
