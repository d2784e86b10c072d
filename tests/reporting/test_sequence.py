"""The geometry of the sequence diagram, and what it shows of payloads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewitness.reporting import sequence

LANES = ["kubectl", "kube-apiserver", "etcd", "kube-scheduler"]


def event(frame: int, sender: str, receiver: str, **changes: Any) -> dict[str, Any]:
    return {
        "frame": frame,
        "last_frame": frame,
        "time_ns": 1_000_000_000 + frame * 1_000_000,
        "from": sender,
        "to": receiver,
        "kind": "request",
        "label": f"message {frame}",
        "detail": None,
        "picked": None,
        **changes,
    }


def drawn(*events: dict[str, Any], marked: frozenset[int] = frozenset()) -> sequence.Diagram:
    return sequence.diagram({"lanes": LANES, "started_ns": 1_000_000_000, "events": events}, "a/b@c", marked)


@pytest.mark.parametrize(
    ("sender", "receiver", "left", "width", "towards", "side"),
    [
        ("kubectl", "kube-apiserver", 12.5, 25, "right", "start"),
        ("kube-apiserver", "etcd", 37.5, 25, "right", "middle"),
        ("kube-scheduler", "etcd", 62.5, 25, "left", "end"),
        ("kube-scheduler", "kubectl", 12.5, 75, "left", "middle"),
        ("etcd", "etcd", 62.5, 0, "self", "middle"),
    ],
    ids=["first", "middle", "last", "across", "self"],
)
def test_an_arrow_runs_between_its_lifelines(
    sender: str, receiver: str, left: float, width: float, towards: str, side: str
) -> None:
    (arrow,) = drawn(event(1, sender, receiver)).arrows
    assert (arrow.left, arrow.width, arrow.towards, arrow.side) == (left, width, towards, side)


def test_arrows_are_in_the_order_of_their_last_packets() -> None:
    long = event(3, "kubectl", "etcd", last_frame=9)
    diagram = drawn(long, event(7, "kubectl", "etcd"), event(2, "etcd", "kubectl"))
    assert [arrow.packets for arrow in diagram.arrows] == ["2", "7", "3\N{EN DASH}9"]
    assert [arrow.offset_ms for arrow in diagram.arrows] == [2, 7, 3]


def test_a_packet_leads_to_the_message_that_holds_it() -> None:
    diagram = drawn(
        event(2, "etcd", "kubectl"), event(3, "kubectl", "etcd", last_frame=5), marked=frozenset({4})
    )
    assert diagram.anchor_of(4) == "a/b@c/2"
    assert diagram.anchor_of(6) == ""
    assert [arrow.contradicts for arrow in diagram.arrows] == [False, True]


def test_two_messages_in_one_packet_have_places_of_their_own() -> None:
    diagram = drawn(event(4, "etcd", "kubectl"), event(4, "etcd", "kubectl"))
    assert [arrow.anchor for arrow in diagram.arrows] == ["a/b@c/1", "a/b@c/2"]


def test_a_payload_is_shown_without_bookkeeping() -> None:
    pod = {"object": {"metadata": {"name": "solo", "managedFields": [{"manager": "a"}, {"manager": "b"}]}}}
    assert json.loads(sequence.payload([pod])) == [
        {"object": {"metadata": {"name": "solo", "managedFields": "2 entries, in the evidence"}}}
    ]


def test_a_long_payload_is_cut_and_says_so() -> None:
    text = sequence.payload("x" * (sequence.PAYLOAD_CHARACTERS_MAX + 8))
    assert text.endswith("\n… 10 more characters in the evidence")
    assert len(text) < sequence.PAYLOAD_CHARACTERS_MAX + 60
