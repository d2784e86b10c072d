"""Declaring behaviours: the decorator that makes a test the proof of one statement."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from kubewitness.model.behaviour import Behaviour, Kind, Source

SUITES = Path(__file__).parents[2] / "suites"
_registered: dict[str, Behaviour] = {}


def behaviour(
    id: str,  # noqa: A002 - the word of the catalogue
    *,
    says: str,
    kind: Kind,
    source: Source,
    needs: Iterable[str] = (),
    since: str = "",
    until: str = "",
) -> Callable[[Any], Any]:
    """Marks a test as the proof of the behaviour ``id``; see model.behaviour.Behaviour."""
    declared = Behaviour(id, says, kind, source, frozenset(needs), since, until)
    if _registered.setdefault(id, declared) != declared:
        raise ValueError(f"behaviour {id} is declared twice")
    return pytest.mark.behaviour(declared)


def implemented() -> tuple[Behaviour, ...]:
    """Every behaviour that has a test, in the order of ids. Needs the project's checkout."""
    for path in sorted(SUITES.glob("*/test_*.py")):
        importlib.import_module(f"suites.{path.parent.name}.{path.stem}")
    return tuple(_registered[each] for each in sorted(_registered))
