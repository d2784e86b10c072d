"""What watches delivered is told by what differs from the time before."""

from __future__ import annotations

from typing import Any

from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import Change
from kubewitness.reporting.changes import changes

PODS = "/api/v1/namespaces/ns/pods"


def pod(version: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "resourceVersion": version, "managedFields": [version]},
        "spec": {"nodeName": "n1"} if status else {},
        "status": {"phase": "Pending", **status},
    }


def told(*events: tuple[str, dict[str, Any]]) -> list[str]:
    made = tuple(
        Change(position, position, PODS, kind, obj) for position, (kind, obj) in enumerate(events, start=1)
    )
    rows = changes(History((), (), CaptureStatistics(0, 0, ()), changes=made))
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["object"] for row in rows} <= {"pods/p"}
    return [row["told"] for row in rows]


def test_the_first_sight_is_told_by_facts_and_later_ones_by_what_changed() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "now"}
    assert told(
        ("ADDED", pod("1")),
        ("MODIFIED", pod("2", conditions=[{**ready, "status": "False"}])),
        ("MODIFIED", pod("3", phase="Running", conditions=[ready])),
        ("MODIFIED", pod("4", phase="Running", conditions=[ready])),
    ) == [
        "status.phase Pending",
        "spec.nodeName n1; status.conditions[Ready] False",
        "status.phase Running; status.conditions[Ready] True",
        "",
    ]


def test_what_is_gone_is_told() -> None:
    assert told(("ADDED", pod("1", message="x")), ("DELETED", pod("2", reason="y"))) == [
        "spec.nodeName n1; status.phase Pending",
        "status.reason y; status.message gone",
    ]


def test_of_many_changes_the_first_are_told_and_the_others_counted() -> None:
    many = {f"key{number}": str(number) for number in range(8)}
    assert told(("LISTED", pod("1", a="b")), ("MODIFIED", pod("2", a="b", **many)))[1].endswith("; 3 more")


def test_a_long_value_is_cut() -> None:
    assert told(("ADDED", pod("1")), ("MODIFIED", {**pod("1"), "message": "m" * 500}))[1] == (
        "message " + "m" * 160 + "…"
    )


def test_the_first_hundred_events_are_told() -> None:
    assert len(told(*[("MODIFIED", pod(str(number))) for number in range(150)])) == 100
