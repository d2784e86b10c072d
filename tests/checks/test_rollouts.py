"""Checks of rollouts, on histories that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.checks.rollouts import (
    answered_by,
    counted_when_ready_for,
    created_as_wanted,
    ends_when_ready_for,
    hostname,
    ready_for,
    ready_since_ns,
)
from kubewitness.model.observation import ApiObject, Change
from kubewitness.model.verdict import Inconclusive
from tests.checks.changes import POD, SET, change, followed

NS = 1_000_000_000
STAMP = "2026-01-01T00:00:10Z"
STAMP_NS = 1767225610 * NS
OWNED = {"ownerReferences": [{"uid": "uid-s"}]}


def status(ready: str, stamp: str = STAMP) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": stamp}]}


def pod(name: str, version: int, at_s: float = 0, ready: str = "True", **more: Any) -> Change:
    """An event ``at_s`` after STAMP, at which the pod became ready."""
    return change(
        POD, name, version, time_ns=STAMP_NS + int(at_s * NS), status=status(ready), metadata=OWNED | more
    )


def counted(version: int, at_s: float, available: int) -> Change:
    told = {"availableReplicas": available}
    return change(SET, "s", version, time_ns=STAMP_NS + int(at_s * NS), status=told)


def is_old(obj: ApiObject) -> bool:
    return str(obj["metadata"]["name"]).startswith("old")


def is_new(obj: ApiObject) -> bool:
    return not is_old(obj)


def wanting(version: int, replicas: int) -> Change:
    return change(SET, "s", version, spec={"replicas": replicas})


def added(name: str, version: int) -> Change:
    return change(POD, name, version, "ADDED", metadata=OWNED)


def test_a_replica_set_creates_the_pods_that_it_is_to_have() -> None:
    """What one that has to end leaves room for, and what is wanted less of later, is no violation."""
    ending = pod("a", 4, deletionTimestamp="x")
    seen = followed(wanting(1, 2), added("a", 2), added("b", 3), ending, added("c", 5), wanting(6, 1))
    assert not created_as_wanted(SET, POD)(seen)


def test_a_pod_beyond_those_is_a_violation() -> None:
    (violation,) = created_as_wanted(SET, POD)(followed(wanting(1, 1), added("a", 2), added("b", 3)))
    assert violation.wanted == "1 pods of s, since it is to have no more"
    assert violation.seen == "2 of them, at event 3"


def test_without_a_created_pod_nothing_can_be_said() -> None:
    with pytest.raises(Inconclusive):
        created_as_wanted(SET, POD)(followed(wanting(1, 1), change(POD, "other", 2, "ADDED")))


def test_the_time_since_which_a_pod_is_ready() -> None:
    assert ready_since_ns({"status": status("True")}) == STAMP_NS
    assert ready_since_ns({"status": status("False")}) is None
    assert ready_since_ns({}) is None


@pytest.mark.parametrize(
    ("at_s", "found"), [(2.9, 0), (3, 1), (9, 1)], ids=["too early", "just then", "later"]
)
def test_a_pod_is_ready_for_a_time_from_its_stamp_on(at_s: float, found: int) -> None:
    pods = [{"status": status("True")}, {"status": status("False")}]
    assert len(ready_for(pods, 3, STAMP_NS + int(at_s * NS))) == found


def test_a_pod_may_count_when_it_was_ready_for_long_enough() -> None:
    check = counted_when_ready_for(3, SET, POD)
    assert not check(followed(pod("a", 1), counted(2, 0.5, 0), counted(3, 3.2, 1)))


def test_a_pod_that_counts_too_early_is_a_violation() -> None:
    check = counted_when_ready_for(3, SET, POD)
    (violation,) = check(followed(pod("a", 1), counted(2, 2.5, 1), counted(3, 3.2, 1)))
    assert violation.wanted == "1 pods of s ready for 3 s when it counts them as available"
    assert violation.seen == "0 of them, at event 2"


def test_pods_of_others_do_not_count() -> None:
    theirs = pod("a", 1, ownerReferences=[{"uid": "uid-t"}])
    assert counted_when_ready_for(3, SET, POD)(followed(theirs, counted(2, 4, 1)))


def test_a_number_that_does_not_rise_is_not_judged() -> None:
    """When a pod ends, its ReplicaSet says so only later."""
    gone = pod("a", 3)
    deleted = Change(3, gone.time_ns, POD, "DELETED", gone.object)
    check = counted_when_ready_for(3, SET, POD)
    assert not check(followed(pod("a", 1), counted(2, 4, 1), deleted, counted(4, 5, 1)))


def test_a_replica_set_that_never_counts_is_inconclusive() -> None:
    with pytest.raises(Inconclusive):
        counted_when_ready_for(3, SET, POD)(followed(pod("a", 1), counted(2, 4, 0)))


def test_old_pods_end_for_new_ones_one_by_one() -> None:
    check = ends_when_ready_for(3, POD, is_old, is_new)
    good = [
        pod("old1", 1), pod("old2", 2), pod("new1", 3, 0.1),
        pod("old1", 4, 3.1, deletionTimestamp="x"), pod("old1", 5, 3.5, deletionTimestamp="x"),
        pod("new2", 6, 3.6),
    ]  # fmt: skip
    assert not check(followed(*good, pod("old2", 7, 6.8, deletionTimestamp="x")))


def test_an_old_pod_that_ends_too_early_is_a_violation() -> None:
    check = ends_when_ready_for(3, POD, is_old, is_new)
    early = pod("old1", 3, 2.9, deletionTimestamp="x")
    (violation,) = check(followed(pod("old1", 1), pod("new1", 2, 0.1), early))
    assert violation.wanted == "1 new pods ready for 3 s before 1 old ones have to end"
    assert violation.seen == "0 of them when old1 has to, at event 3"


def test_two_old_pods_need_two_new_ones() -> None:
    both = [pod(f"old{at}", 1 + at, 4, deletionTimestamp="x") for at in (1, 2)]
    (violation,) = ends_when_ready_for(3, POD, is_old, is_new)(followed(pod("new1", 1), *both))
    assert violation.seen == "1 of them when old2 has to, at event 3"


def test_without_an_end_nothing_can_be_said() -> None:
    with pytest.raises(Inconclusive):
        ends_when_ready_for(3, POD, is_old, is_new)(followed(pod("old1", 1), pod("new1", 2)))


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        (["a", "b", "a"], None),
        (["a"], "['1']"),
        (["a", "b", "c"], "['1', '2', 'a stranger, c']"),
    ],
    ids=["both", "one alone", "a stranger, too"],
)
def test_answers_come_from_the_kinds_of_pods_that_are_wanted(answers: list[str], seen: str | None) -> None:
    """The pods that answered may be gone by then."""
    history = followed(
        change(POD, "a", 1, spec="1"), change(POD, "b", 2, spec="2"), change(POD, "a", 3, "DELETED", spec="1")
    )
    found = answered_by(POD, {"1", "2"}, lambda obj: str(obj["spec"]), answers)(history)
    assert [each.seen for each in found] == ([] if seen is None else [seen])


def test_an_answer_names_its_pod() -> None:
    assert hostname('{"hostname":"web-1"}\n') == "web-1"
