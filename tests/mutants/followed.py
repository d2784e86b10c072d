"""Changes of what a drive's watches delivered and of what its steps yielded, for mutants of any area.

A drive is named with its area, such as ``daemonsets/placed``; predicates over their objects pick pods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubewitness.checks.selecting import node_of

Event = dict[str, Any]
Events = Callable[[list[Event]], list[Event]]
Picks = Callable[[Event], bool]
Step = Callable[[str, str, Any], Any]


def followed(drive: str, how: Events) -> Step:
    """The watches of a drive delivered something else."""

    def mutate(scene: str, what: str, result: Any) -> Any:
        return how(result) if (scene, what) == (drive, "followed") else result

    return mutate


def step(drive: str, start: str, result: Any) -> Step:
    """The steps of a drive whose names start so yielded something else."""
    return lambda scene, what, was: result if scene == drive and what.startswith(start) else was


def answered(
    drive: str, end: str, how: Callable[[Any], Any], where: Callable[[Any], bool] = lambda _: True
) -> Step:
    """The steps of a drive whose names end so yielded something else, where ``where`` is true of it."""
    return lambda scene, what, was: how(was) if scene == drive and what.endswith(end) and where(was) else was


def objects(plural: str, how: Callable[[Event], Event], where: Picks = lambda _: True) -> Events:
    """Objects of a collection, such as ``replicasets``, of which ``where`` is true are others."""

    def one(event: Event) -> Event:
        ours = event["collection"].endswith(f"/{plural}") and where(event["object"])
        return {**event, "object": how(event["object"])} if ours else event

    return lambda events: [one(each) for each in events]


def pods(how: Callable[[Event], Event], where: Picks) -> Events:
    """Pods of which ``where`` is true are others."""
    return objects("pods", how, where)


def twin(name: str, of: Picks) -> Events:
    """Beside the last of such pods there was another one like it, and it stayed."""

    def mutate(events: list[Event]) -> list[Event]:
        model = next(
            each for each in reversed(events) if "/pods" in each["collection"] and of(each["object"])
        )
        obj = {**model["object"], "metadata": {**model["object"]["metadata"], "name": name}}
        added = {**model, "type": "ADDED", "object": obj}
        at = events.index(model) + 1
        return [*events[:at], added, *events[at:]]

    return mutate


def without(kind: str, of: Picks) -> Events:
    """No event of this kind was delivered of such pods."""
    return lambda events: [
        each
        for each in events
        if not ("/pods" in each["collection"] and each["type"] == kind and of(each["object"]))
    ]


def unready(pod: Event) -> Event:
    conditions = [{"type": "Ready", "status": "False"}]
    return {**pod, "status": {**pod["status"], "conditions": conditions}}


def ending(pod: Event) -> Event:
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "now"}}


def on(node: str) -> Picks:
    return lambda pod: node_of(pod) == node
