"""Every check passes a history that satisfies it, and finds the violation in one that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubewitness.checks import ordering as checks
from kubewitness.checks.selecting import node_of, request
from kubewitness.model.history import History
from kubewitness.model.observation import WatchEvent
from kubewitness.model.verdict import Inconclusive
from tests.checks import histories as made

EMPTY = made.history()
BINDING = request("POST", "pods/binding", "ns", "p")


def frames(check: checks.Check, history: History = EMPTY) -> list[tuple[int, ...]]:
    """The packets of each violation."""
    return [each.frames for each in check(history)]


def test_messages_in_order_do_not_overlap() -> None:
    first, second, third = made.request(1, last=2), made.request(3), made.request(4)
    assert frames(checks.happens_in_order(first, second, third)) == []
    assert frames(checks.happens_in_order(second, first, third)) == [(3, 1)]
    assert frames(checks.happens_in_order(first, made.request(2))) == [(2, 2)]  # begins in the last packet


def test_nothing_begins_before_the_first_is_complete() -> None:
    early, late = (made.request(at, subresource="binding") for at in (3, 5))
    reference = made.request(2, last=4)
    assert frames(checks.none_before(BINDING, reference), made.history(late)) == []
    assert frames(checks.none_before(BINDING, reference), made.history(early, late)) == [(3,)]


def test_what_must_never_be_is_found() -> None:
    assert frames(checks.never(BINDING), made.history(made.request(1))) == []
    assert frames(checks.never(BINDING), made.history(made.request(2, subresource="binding"))) == [(2,)]


@pytest.mark.parametrize(("at", "expected"), [([1], []), ([], [()]), ([1, 2], [(1, 2)])])
def test_once_is_neither_none_nor_two(at: list[int], expected: list[tuple[int, ...]]) -> None:
    history = made.history(*(made.request(frame, subresource="binding") for frame in at))
    assert frames(checks.exactly_once(BINDING), history) == expected


@pytest.mark.parametrize(
    ("content_type", "count"),
    [("application/json", 0), ("application/json; charset=utf-8", 0), ("application/yaml", 1), ("", 1)],
)
def test_json_is_told_from_other_bodies(content_type: str, count: int) -> None:
    assert len(checks.sent_as_json(made.request(1, content_type=content_type))(EMPTY)) == count


def own_pods(watch_query: dict[str, str], *events: WatchEvent) -> list[tuple[int, ...]]:
    watch = made.request(1, "kubelet/node1", verb="watch", query=watch_query)
    check = checks.kubelets_see_only_their_own([watch], lambda component: component.partition("/")[2])
    return frames(check, made.history(watch, *events))


def test_a_kubelet_selects_and_sees_its_own_pods() -> None:
    own, other = (
        made.event(at, "kubelet/node1", made.pod(node)) for at, node in ((2, "node1"), (3, "node2"))
    )
    selecting = {"fieldSelector": "spec.nodeName=node1"}
    assert own_pods(selecting, own) == []
    assert own_pods(selecting, own, other) == [(3,)]
    assert own_pods({"fieldSelector": "spec.nodeName=node2"}, own) == [(1,)]
    assert own_pods({}, own) == [(1,)]


def test_bookmarks_other_watchers_and_other_resources_are_no_pods() -> None:
    bookmark = made.event(2, "kubelet/node1", {}, kind="BOOKMARK")
    scheduler = made.event(3, "kube-scheduler", made.pod("node2"))
    node = made.event(4, "kubelet/node1", {"metadata": {"name": "node1"}}, resource="nodes")
    assert own_pods({"fieldSelector": "spec.nodeName=node1"}, bookmark, scheduler, node) == []


STATES = (
    ("unbound", lambda seen: not node_of(seen.object)),
    ("bound", lambda seen: bool(node_of(seen.object))),
    ("Running", lambda seen: seen.object.get("status") == "Running"),
)
UNBOUND, BOUND = made.event(1, "suite", made.pod()), made.event(2, "suite", made.pod("node1"))
RUNNING = made.event(3, "suite", made.pod("node1", status="Running"))


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        ([UNBOUND, BOUND, RUNNING], []),
        ([UNBOUND, BOUND, BOUND, RUNNING], []),
        ([UNBOUND, RUNNING], ["Running at once"]),
        ([UNBOUND, BOUND, UNBOUND, RUNNING], ["unbound"]),
        ([UNBOUND, BOUND], ["the watch ended bound"]),
        ([BOUND, RUNNING], ["bound at once"]),
    ],
)
def test_states_are_passed_through_in_order(events: list[WatchEvent], seen: list[str]) -> None:
    assert [each.seen for each in checks.states_in_order(events, *STATES)(EMPTY)] == seen


def test_a_watch_without_events_reaches_nothing() -> None:
    (violation,) = checks.states_in_order([], *STATES)(EMPTY)
    assert violation.wanted == "to reach Running"


def test_revisions_are_those_of_the_store() -> None:
    stored = made.txn(2, made.pod(), revision=5)
    delivered = made.event(4, "suite", made.pod())
    assert frames(checks.same_revision(stored, made.etcd_event(3, made.pod()), delivered)) == []
    old = made.etcd_event(3, made.pod(), revision=4)
    assert frames(checks.same_revision(replace(stored, revision=6), old, delivered)) == [(3,), (4,)]


def test_only_a_role_connects() -> None:
    check = checks.only_role_connects(2379, "kube-apiserver")
    own, elsewhere = made.connection("kube-apiserver"), made.connection("kubectl", port=8080)
    intruder = made.connection("intruder")
    assert frames(check, made.history(connections=(own, elsewhere))) == []
    assert frames(check, made.history(connections=(own, intruder))) == [(1,)]


@pytest.mark.parametrize(
    ("clients", "why"),
    [([], "no connection to port 2379 was seen"), (["kube-apiserver", "unknown"], "is unknown")],
)
def test_connections_without_a_process_are_inconclusive(clients: list[str], why: str) -> None:
    connections = tuple(made.connection(client, number=at) for at, client in enumerate(clients, 1))
    with pytest.raises(Inconclusive, match=why):
        checks.attributed(2379)(made.history(connections=connections))


def owning(*references: dict[str, Any]) -> list[tuple[int, ...]]:
    owner = made.response(2, made.request(1), {"metadata": {"uid": "owner"}})
    child = made.response(4, made.request(3), {"metadata": {"ownerReferences": list(references)}})
    return frames(checks.owned_by(child, owner))


def test_a_child_names_its_controller() -> None:
    assert owning({"uid": "owner", "controller": True}, {"uid": "other"}) == []
    assert owning({"uid": "other", "controller": True}) == [(4,)]
    assert owning({"uid": "owner"}) == [(4,)]
    assert owning() == [(4,)]


def test_a_speaker_is_known_by_role() -> None:
    assert frames(checks.spoken_by(made.request(1, "kubelet/node1"), "kubelet")) == []
    assert frames(checks.spoken_by(made.request(1, "kubectl"), "kubelet")) == [(1,)]


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({"gracePeriodSeconds": 0}, []),
        ({"gracePeriodSeconds": 30}, ["30"]),
        ({}, ["none given"]),
        (None, ["none given"]),
    ],
)
def test_no_grace_is_asked_for_in_words(body: dict[str, int] | None, seen: list[str]) -> None:
    check = checks.grace_is_zero(made.request(1, body=body))
    assert [each.seen for each in check(EMPTY)] == seen


@pytest.mark.parametrize(("status", "count"), [("False", 0), ("Unknown", 0), ("True", 1)])
def test_a_ready_node_is_told_from_others(status: str, count: int) -> None:
    conditions = [{"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": status}]
    assert len(checks.node_is_not_ready({"status": {"conditions": conditions}})(EMPTY)) == count


def test_a_message_says_why() -> None:
    told = {"message": "0/1 nodes are available: 1 node(s) had untolerated taint(s)"}
    assert checks.says_why(told, "untolerated taint", "0/1")(EMPTY) == []
    (violation,) = checks.says_why(told, "0/1", "affinity")(EMPTY)
    assert violation.wanted == "a message with affinity"
    assert len(checks.says_why({}, "anything")(EMPTY)) == 1


@pytest.mark.parametrize(
    ("others", "readable", "expected"),
    [([7], True, []), ([], True, [()]), ([], False, []), ([7, 8], False, [(7, 8)])],
)
def test_a_marker_is_read_only_where_it_may_be(
    others: list[int], readable: bool, expected: list[tuple[int, ...]]
) -> None:
    assert frames(checks.visible([3], others, readable=readable)) == expected


def test_a_filter_that_finds_nothing_is_inconclusive() -> None:
    for readable in (True, False):
        with pytest.raises(Inconclusive, match="did not find it"):
            checks.visible([], [7], readable=readable)(EMPTY)
