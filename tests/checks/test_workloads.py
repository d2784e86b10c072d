"""Checks of collections at every event, on histories that are made up."""

from __future__ import annotations

import pytest

from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import Moment, at_every_moment, moments
from kubewitness.model.verdict import Inconclusive
from tests.checks.changes import POD, SET, change, followed


def names(now: Moment) -> tuple[list[str], list[str]]:
    pods, sets = ([metadata(each)["name"] for each in now.of(collection)] for collection in (POD, SET))
    return pods, sets


def test_moments_are_in_the_order_of_writing() -> None:
    """The watch of the pods was ahead of that of the sets."""
    seen = followed(
        change(POD, "p", 2, "ADDED"), change(POD, "p", 4, "DELETED"),
        change(SET, "s", 1, "ADDED"), change(SET, "t", 3, "ADDED"),
    )  # fmt: skip
    assert [names(each) for each in moments(seen, POD, SET)] == [
        ([], ["s"]), (["p"], ["s"]), (["p"], ["s", "t"]), ([], ["s", "t"]),
    ]  # fmt: skip


def test_the_first_moment_has_all_that_was_listed() -> None:
    seen = followed(
        change(POD, "p", 7, "LISTED"), change(POD, "q", 3, "LISTED"),
        change(SET, "s", 5, "ADDED"), change(POD, "q", 9, "DELETED"),
    )  # fmt: skip
    assert [names(each) for each in moments(seen, POD, SET)] == [(["q", "p"], ["s"]), (["p"], ["s"])]


def test_other_collections_are_left_out() -> None:
    seen = followed(change(POD, "p", 1), change("others", "o", 2))
    assert [each.change.position for each in moments(seen, POD, SET)] == [1]


def test_collections_are_judged_together() -> None:
    """A pod without a set is a violation, in whatever order the two watches delivered them."""
    judge = at_every_moment(
        (POD, SET), "a set beside each pod", lambda now: len(now.of(SET)) >= len(now.of(POD)),
        lambda now: str(names(now)), since=lambda now: bool(now.of(SET)),
    )  # fmt: skip
    good = [change(POD, "p", 2, "ADDED"), change(SET, "s", 1, "ADDED")]
    assert not judge(followed(*good))
    (violation,) = judge(followed(*good, change(SET, "s", 3, "DELETED")))
    assert violation.wanted == "a set beside each pod, at every event"
    assert violation.seen == "(['p'], []) after event 3 (DELETED s)"


def test_what_never_could_be_judged_is_inconclusive() -> None:
    judge = at_every_moment((POD,), "anything", lambda _: True, str, since=lambda _: False)
    with pytest.raises(Inconclusive, match="anything was never reached"):
        judge(followed(change(POD, "p", 1)))
