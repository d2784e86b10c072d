"""A story says broken only of what it can see, and passes only where nothing is missing."""

from __future__ import annotations

import pytest

from kubewitness.checks.ordering import never
from kubewitness.checks.selecting import request
from kubewitness.model.history import History
from kubewitness.model.verdict import Broken, Inconclusive
from kubewitness.reporting.story import Story
from tests.checks import histories as made

POSTED = request("POST", "pods", "ns", "p")
KNOWN, UNKNOWN = made.connection("kubectl", server="relay"), made.connection("unknown", server="relay")


def story(history: History) -> Story:
    return Story(history, ("ns/p",))


def test_the_earliest_is_picked_by_name() -> None:
    early, late = made.request(1), made.request(2)
    told = story(made.history(late, early, connections=(KNOWN,)))
    assert told.first("posted", POSTED) is early
    assert told.picks == {"posted": early}


def test_none_found_is_broken() -> None:
    told = story(made.history(made.request(1, name="q"), connections=(KNOWN,)))
    with pytest.raises(Broken) as raised:
        told.first("posted", POSTED)
    (violation,) = raised.value.violations
    assert (violation.wanted, violation.seen) == ("POST pods ns/p (posted)", "none among 1 messages")


def test_none_found_in_incomplete_evidence_is_inconclusive() -> None:
    told = story(made.history(missing=("the kernel dropped 3 packets",)))
    with pytest.raises(Inconclusive, match=r"no POST pods ns/p was seen, but .* dropped 3 packets"):
        told.first("posted", POSTED)


def test_none_found_is_inconclusive_if_anybody_who_spoke_is_unknown() -> None:
    told = story(made.history(made.request(1, name="q"), connections=(UNKNOWN,)))
    with pytest.raises(Inconclusive, match=r"the process behind connection 1 .* is unknown"):
        told.first("posted", POSTED)


def test_two_are_not_one() -> None:
    with pytest.raises(Broken, match="2 of them") as raised:
        story(made.history(made.request(1), made.request(2))).one("posted", POSTED)
    assert raised.value.violations[0].frames == (1, 2)


def test_the_only_one_is_picked() -> None:
    only = made.request(1)
    assert story(made.history(only)).one("posted", POSTED) is only


def test_a_violation_is_broken_even_where_evidence_is_missing() -> None:
    told = story(made.history(made.request(1), connections=(UNKNOWN,), missing=("a gap",)))
    with pytest.raises(Broken, match="wanted no POST pods"):
        told.must(never(POSTED))


def test_nothing_wrong_in_incomplete_evidence_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match=r"nothing contradicts the statement, but .* a gap"):
        story(made.history(missing=("a gap",))).must(never(POSTED))


def test_an_unknown_speaker_counts_only_if_it_spoke_of_the_subject() -> None:
    never_patched = never(request("PATCH", "pods", "ns", "p"))
    with pytest.raises(Inconclusive, match=r"connection 1 .* is unknown"):
        story(made.history(made.request(1), connections=(UNKNOWN,))).must(never_patched)
    story(made.history(made.request(1, name="q"), connections=(UNKNOWN,))).must(never_patched)
    story(made.history(made.request(1), connections=(KNOWN,))).must(never_patched)


def test_an_unknown_server_counts_too() -> None:
    connection = made.connection("kubectl", server="unknown")
    with pytest.raises(Inconclusive, match="is unknown"):
        story(made.history(made.request(1), connections=(connection,))).must()
