"""What the suite's own watches delivered, told as changes: the timeline of what is judged without packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubewitness.model.history import History
from kubewitness.model.observation import Change

#: What is told of an object that is seen for the first time.
_FACTS = ("reason", "message", "spec.nodeName", "spec.replicas", "status.phase", "spec.volumeName")
#: Bookkeeping, which changes with every write.
_SILENT = frozenset({"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"})
_SILENT_ENDINGS = ("Time", "Timestamp", "observedGeneration", "containerID", "ID")
_CHANGES_MAX, _FACTS_MAX, _VALUE_CHARACTERS_MAX = 100, 5, 160


def changes(history: History) -> list[dict[str, Any]]:
    """A row for each event, in the order in which they came; the first hundred."""
    before: dict[tuple[str, str], dict[str, str]] = {}
    rows = []
    for change in history.changes[:_CHANGES_MAX]:
        name = str((change.object.get("metadata") or {}).get("name", ""))
        key, now = (change.collection, name), dict(_flat(change.object))
        told = _differences(before[key], now) if key in before else _first(now)
        before[key] = now
        rows.append(_row(change, name, told))
    return rows


def _row(change: Change, name: str, told: list[str]) -> dict[str, Any]:
    shown = told[:_FACTS_MAX] + ([f"{len(told) - _FACTS_MAX} more"] if len(told) > _FACTS_MAX else [])
    return {
        "position": change.position,
        "time_ns": change.time_ns,
        "type": change.type,
        "object": f"{change.collection.rpartition('/')[2]}/{name}",
        "told": "; ".join(shown),
    }


def _first(now: Mapping[str, str]) -> list[str]:
    return [f"{path} {now[path]}" for path in _FACTS if now.get(path)]


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = [f"{path} {now[path]}" for path in now if before.get(path) != now[path]]
    return changed + [f"{path} gone" for path in before if path not in now]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value by its path; parts of lists by their names, or counted; a condition as one value."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            told = key == "deletionTimestamp" or not (key in _SILENT or key.endswith(_SILENT_ENDINGS))
            if told:
                yield from _flat(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, part in enumerate(value):
            if isinstance(part, Mapping) and {"type", "status"} <= part.keys():
                yield (
                    f"{path}[{part['type']}]",
                    " ".join(str(part[key]) for key in ("status", "reason", "message") if part.get(key)),
                )
            else:
                yield from _flat(part, f"{path}[{part.get('name', at) if isinstance(part, Mapping) else at}]")
    else:
        text = str(value)
        cut = text[:_VALUE_CHARACTERS_MAX]
        yield path, cut if cut == text else cut + "…"
