"""Judgements about volumes: who may have which, and pods that cannot have theirs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import Check, Objects, at_every_change, reached
from kubewitness.model.observation import ApiObject


def volume_of(claim: ApiObject) -> str:
    """The volume that a claim is bound to; "" if it is to none."""
    return str(claim.get("spec", {}).get("volumeName", ""))


def owner_of(volume: ApiObject) -> str:
    """The uid of the claim that a volume is bound to; "" if it is to none."""
    return str((volume.get("spec", {}).get("claimRef") or {}).get("uid", ""))


def fits(claim: ApiObject, volume: ApiObject) -> bool:
    """Whether a volume offers the class, the access modes and the size that a claim asks for."""
    asked, offered = claim["spec"], volume.get("spec", {})
    return bool(offered) and (
        asked["storageClassName"] == offered["storageClassName"]
        and set(asked["accessModes"]) <= set(offered["accessModes"])
        and gibibytes(asked["resources"]["requests"]["storage"]) <= gibibytes(offered["capacity"]["storage"])
    )


def gibibytes(quantity: str) -> int:
    found = re.fullmatch(r"(\d+)Gi", quantity)
    if not found:
        raise ValueError(f"{quantity!r} is not a number of Gi")
    return int(found[1])


def said(events: Iterable[ApiObject], about: str, reason: str) -> list[str]:
    """The messages of the events of one reason about an object."""
    return [
        str(each.get("message", ""))
        for each in events
        if each["involvedObject"].get("name") == about and each.get("reason") == reason
    ]


def reported(events: str, reason: str, about: str, words: str) -> Check:
    """Some event of the collection ``events`` is about this object, for this reason, and says these words."""
    return reached(
        events, f"an event {reason} of {about} that says {words!r}",
        lambda now: any(words in each for each in said(now, about, reason)),
        lambda now: str(said(now, about, reason)),
    )  # fmt: skip


def has_started(pod: ApiObject) -> bool:
    """Whether a container of the pod runs or ever ran. One that never did may be called terminated, too."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(each.get("containerID") or "running" in each.get("state", {}) for each in statuses)


def never_started(pods: str, names: Iterable[str]) -> Check:
    """No container of these pods ever starts. All of them must have been there at one time."""
    wanted = set(names)

    def started(now: Objects) -> list[str]:
        return sorted(wanted & {metadata(each)["name"] for each in now if has_started(each)})

    return at_every_change(
        pods, f"no container of {sorted(wanted)} to start",
        lambda now: not started(now), lambda now: f"{started(now)} did",
        since=lambda now: wanted <= {metadata(each)["name"] for each in now},
    )  # fmt: skip


#: What a CSI driver was called for, in order: a method, its request, and the error that it ended with or "".
Calls = Iterable[dict[str, Any]]


def called_for(calls: Calls, volume: str) -> list[str]:
    """The methods that did something with a volume. To do it again at once is to have done it once."""
    done = [
        each["method"]
        for each in calls
        if not each["error"] and volume in (each["request"].get("volumeId"), each["request"].get("name"))
    ]
    return [method for method, _ in itertools.groupby(done)]


def inline_volumes(calls: Calls, pod: str) -> list[str]:
    """The volumes that a driver made for the pod with this uid alone, as part of it."""
    contexts = [
        (each["request"]["volumeId"], each["request"].get("volumeContext", {}))
        for each in calls
        if each["method"] == "NodePublishVolume" and not each["error"]
    ]
    return sorted({
        volume
        for volume, context in contexts
        if context.get("csi.storage.k8s.io/ephemeral") == "true"
        and context.get("csi.storage.k8s.io/pod.uid") == pod
    })  # fmt: skip
