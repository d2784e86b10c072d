"""Checks of volumes, on histories that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.checks.volumes import (
    called_for,
    fits,
    gibibytes,
    has_started,
    inline_volumes,
    never_started,
    owner_of,
    reported,
    said,
    volume_of,
)
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import Change
from kubewitness.model.verdict import Inconclusive

WAITING = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
RUNNING = {"name": "main", "state": {"running": {}}}
# What a kubelet reports of a container that never was, when its pod is deleted.
UNKNOWN = {"name": "main", "state": {"terminated": {"reason": "ContainerStatusUnknown"}}}
ENDED = {"name": "main", "containerID": "containerd://1", "state": {"terminated": {"exitCode": 0}}}


def history(collection: str, *objects: dict[str, Any]) -> History:
    changes = tuple(
        Change(position=at, collection=collection, type="MODIFIED", object=each, time_ns=at)
        for at, each in enumerate(objects, start=1)
    )
    return History((), (), CaptureStatistics(0, 0, ()), changes=changes)


def pod(name: str, *statuses: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"containerStatuses": [*statuses]}}


def event(about: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{about}.1"}, "involvedObject": {"name": about},
        "reason": reason, "message": message,
    }  # fmt: skip


def claim(size: str, *modes: str, storage_class: str = "slow") -> dict[str, Any]:
    requests = {"requests": {"storage": size}}
    return {"spec": {"storageClassName": storage_class, "accessModes": [*modes], "resources": requests}}


VOLUME = {
    "spec": {
        "storageClassName": "slow", "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "capacity": {"storage": "10Gi"}, "claimRef": {"uid": "u1"},
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        (claim("10Gi", "ReadWriteOnce"), True),
        (claim("9Gi", "ReadOnlyMany", "ReadWriteOnce"), True),
        (claim("11Gi", "ReadWriteOnce"), False),
        (claim("1Gi", "ReadWriteMany"), False),
        (claim("1Gi", "ReadWriteOnce", storage_class="fast"), False),
    ],
    ids=["same size", "smaller, two modes", "larger", "another mode", "another class"],
)
def test_a_volume_fits_by_class_modes_and_size(wanted: dict[str, Any], verdict: bool) -> None:
    assert fits(wanted, VOLUME) is verdict


def test_no_volume_fits_nothing() -> None:
    assert not fits(claim("1Gi", "ReadWriteOnce"), {})


def test_a_binding_is_read_from_both_ends() -> None:
    assert (volume_of({"spec": {"volumeName": "v"}}), volume_of({"spec": {}})) == ("v", "")
    assert (owner_of(VOLUME), owner_of({"spec": {}})) == ("u1", "")


def test_other_units_are_no_gibibytes() -> None:
    with pytest.raises(ValueError, match="'10Mi' is not a number of Gi"):
        gibibytes("10Mi")


def test_only_events_about_the_object_with_the_reason_are_said() -> None:
    events = [
        event("a", "FailedMount", "one"),
        event("b", "FailedMount", "two"),
        event("a", "Pulled", "three"),
    ]
    assert said(events, "a", "FailedMount") == ["one"]


def test_a_report_needs_its_words() -> None:
    seen = history("events", event("a", "FailedMount", 'secret "s" not found'))
    assert not reported("events", "FailedMount", "a", "not found")(seen)
    (violation,) = reported("events", "FailedMount", "a", "disabled")(seen)
    assert "not found" in violation.seen


@pytest.mark.parametrize(
    ("status", "started"),
    [(WAITING, False), (UNKNOWN, False), (RUNNING, True), (ENDED, True)],
    ids=["waiting", "never was", "running", "ended"],
)
def test_a_container_has_started_if_it_runs_or_ran(status: dict[str, Any], started: bool) -> None:
    assert has_started(pod("a", status)) is started


def test_a_start_is_a_violation() -> None:
    seen = history("pods", pod("a", WAITING), pod("b", RUNNING), pod("a", RUNNING))
    assert [each.seen for each in never_started("pods", ["a"])(seen)] == [
        "['a'] did after event 3 (MODIFIED a)"
    ]
    assert not never_started("pods", ["a"])(history("pods", pod("a", WAITING), pod("b", RUNNING)))


def test_pods_that_never_were_are_inconclusive() -> None:
    with pytest.raises(Inconclusive):
        never_started("pods", ["a", "c"])(history("pods", pod("a", WAITING)))


def call(method: str, error: str = "", **request: Any) -> dict[str, Any]:
    return {"method": method, "request": request, "error": error}


def context(pod: str, *, ephemeral: str) -> dict[str, str]:
    return {"csi.storage.k8s.io/pod.uid": pod, "csi.storage.k8s.io/ephemeral": ephemeral}


CALLS = [
    call("Probe"),
    call("CreateVolume", name="a"),
    call("NodePublishVolume", "no such directory", volumeId="a", volumeContext={}),
    call("NodePublishVolume", volumeId="a", volumeContext=context("p", ephemeral="false")),
    call("NodePublishVolume", volumeId="b", volumeContext=context("p", ephemeral="true")),
    call("NodePublishVolume", volumeId="c", volumeContext=context("q", ephemeral="true")),
    call("NodePublishVolume", "no space left", volumeId="d", volumeContext=context("p", ephemeral="true")),
    call("NodeUnpublishVolume", volumeId="a"),
    call("DeleteVolume", volumeId="a"),
    call("DeleteVolume", volumeId="a"),
]


@pytest.mark.parametrize(
    ("volume", "methods"),
    [
        ("a", ["CreateVolume", "NodePublishVolume", "NodeUnpublishVolume", "DeleteVolume"]),
        ("b", ["NodePublishVolume"]),
        ("d", []),
        ("e", []),
    ],
)
def test_a_call_counts_if_it_succeeded_and_once_if_it_was_repeated(volume: str, methods: list[str]) -> None:
    assert called_for(CALLS, volume) == methods


def test_to_publish_again_later_is_told_again() -> None:
    again = call("NodePublishVolume", volumeId="a")
    assert called_for([*CALLS, again], "a") == [*called_for(CALLS, "a"), "NodePublishVolume"]


def test_an_inline_volume_is_one_pods() -> None:
    assert inline_volumes(CALLS, "p") == ["b"]
    assert inline_volumes(CALLS, "q") == ["c"]
    assert inline_volumes(CALLS, "r") == []
