"""Verdicts, and what a check says when a statement does not hold."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    PASSED = "passed"
    BROKEN = "broken"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a history contradicts a statement.

    ``frames`` are the packet numbers that show it.
    """

    wanted: str
    seen: str
    frames: tuple[int, ...] = ()


class Inconclusive(Exception):
    """The evidence does not suffice to judge; the message says what was missing."""


class Broken(Exception):
    """The cluster contradicted the statement; carries the violations."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"wanted {v.wanted}; saw {v.seen}" for v in violations))


class Unsupported(Exception):
    """The cluster declares that it lacks a need; the message is the need's name."""
