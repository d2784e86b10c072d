"""Judgements about collections of objects, at every event of a watch and in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from kubewitness.checks.selecting import metadata
from kubewitness.model.history import History
from kubewitness.model.observation import ApiObject, Change
from kubewitness.model.verdict import Inconclusive, Violation

Check = Callable[[History], list[Violation]]
Objects = Sequence[ApiObject]
_SHOWN = 3
_Seen = TypeVar("_Seen")


def states(history: History, collection: str) -> Iterator[tuple[Change, list[ApiObject]]]:
    """The objects of a collection as each event left them. What was listed at first counts as one event."""
    found: dict[str, ApiObject] = {}
    changes = [each for each in history.changes if each.collection == collection]
    for at, change in enumerate(changes):
        key = str(metadata(change.object).get("name"))
        if change.type == "DELETED":
            found.pop(key, None)
        else:
            found[key] = change.object
        if change.type != "LISTED" or at + 1 == len(changes) or changes[at + 1].type != "LISTED":
            yield change, list(found.values())


@dataclass(frozen=True, slots=True)
class Moment:
    """What several collections held after one event in any of them."""

    change: Change
    held: Mapping[str, Objects]

    def of(self, collection: str) -> Objects:
        return self.held[collection]


def moments(history: History, *collections: str) -> Iterator[Moment]:
    """The moments of these collections together, in the order in which their objects were written.

    The suite may have got the events in another order, since each collection has a watch of its own, and one
    may be ahead of another. Resource versions put them back in order: an API server takes them from etcd's
    revision, of which there is one for all that is kept in one etcd. The first moment is the one at which all
    that was listed at first is there.
    """
    held: dict[str, dict[str, ApiObject]] = {each: {} for each in collections}
    written = sorted((each for each in history.changes if each.collection in held), key=_resource_version)
    listed = [at for at, each in enumerate(written) if each.type == "LISTED"]
    begins = listed[-1] if listed else 0
    for at, change in enumerate(written):
        objects, name = held[change.collection], str(metadata(change.object).get("name"))
        if change.type == "DELETED":
            objects.pop(name, None)
        else:
            objects[name] = change.object
        if at >= begins:
            yield Moment(change, {each: [*found.values()] for each, found in held.items()})


def _resource_version(change: Change) -> int:
    return int(metadata(change.object)["resourceVersion"])


def at_every_change(
    collection: str,
    wanted: str,
    holds: Callable[[Objects], bool],
    tell: Callable[[Objects], str],
    *,
    since: Callable[[Objects], bool] = lambda _: True,
) -> Check:
    """``holds`` after every event, from the first state of which ``since`` is true on.

    The first violations are told. A history in which nothing ever could be judged is inconclusive.
    """
    return lambda history: _at_every(states(history, collection), wanted, holds, tell, since)


def at_every_moment(
    collections: Sequence[str],
    wanted: str,
    holds: Callable[[Moment], bool],
    tell: Callable[[Moment], str],
    *,
    since: Callable[[Moment], bool] = lambda _: True,
) -> Check:
    """The same of what several collections hold at once; see ``moments``."""
    return lambda history: _at_every(
        ((each.change, each) for each in moments(history, *collections)), wanted, holds, tell, since
    )


def _at_every(
    passed: Iterable[tuple[Change, _Seen]],
    wanted: str,
    holds: Callable[[_Seen], bool],
    tell: Callable[[_Seen], str],
    since: Callable[[_Seen], bool],
) -> list[Violation]:
    found: list[Violation] = []
    begun = False
    for change, seen in passed:
        begun = begun or since(seen)
        if begun and not holds(seen):
            name = metadata(change.object).get("name")
            told = f"{tell(seen)} after event {change.position} ({change.type} {name})"
            found.append(Violation(f"{wanted}, at every event", told))
    if not begun:
        raise Inconclusive(f"the state in which to judge that {wanted} was never reached")
    return found[:_SHOWN]


def reached(
    collection: str, wanted: str, holds: Callable[[Objects], bool], tell: Callable[[Objects], str]
) -> Check:
    """``holds`` after one event at least."""

    def check(history: History) -> list[Violation]:
        passed = [objects for _, objects in states(history, collection)]
        if any(map(holds, passed)):
            return []
        return [Violation(f"{wanted}, at some event", tell(passed[-1] if passed else []))]

    return check


def passes_through(
    collection: str, name: str, what: str, view: Callable[[ApiObject], object], *wanted: object
) -> Check:
    """``view`` of one object takes these values one after the other, and no others."""

    def check(history: History) -> list[Violation]:
        seen: list[object] = []
        for _, objects in states(history, collection):
            seen += [view(each) for each in objects if metadata(each).get("name") == name]
        passed = [key for key, _ in groupby(seen)]
        return [] if passed == [*wanted] else [Violation(f"{what} of {name}: {[*wanted]}", str(passed))]

    return check


def in_the_end(
    collection: str, wanted: str, holds: Callable[[Objects], bool], tell: Callable[[Objects], str]
) -> Check:
    """``holds`` of what the last event left."""

    def check(history: History) -> list[Violation]:
        *_, objects = [[], *(objects for _, objects in states(history, collection))]
        return [] if holds(objects) else [Violation(f"{wanted}, in the end", tell(objects))]

    return check


def equal(what: str, wanted: object, seen: object) -> Check:
    """Two values that tests got by different ways are the same."""

    def check(_: History) -> list[Violation]:
        return [] if wanted == seen else [Violation(f"{what}: {wanted}", str(seen))]

    return check


def contains(what: str, wanted: str, seen: str) -> Check:
    """A text, such as a message, says something."""

    def check(_: History) -> list[Violation]:
        return [] if wanted in seen else [Violation(f"{what} with {wanted!r}", seen)]

    return check
