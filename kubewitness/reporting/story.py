"""What a test judges by: one recording, the observations it picked by name, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kubewitness.checks.ordering import Check
from kubewitness.checks.selecting import Selector, subject
from kubewitness.model.history import History
from kubewitness.model.observation import Observation
from kubewitness.model.verdict import Broken, Inconclusive, Violation


@dataclass(slots=True)
class Story:
    """A history with the objects (NAMESPACE/NAME) that it is about. ``picks`` end up in the report."""

    history: History
    subjects: tuple[str, ...]
    picks: dict[str, Observation] = field(default_factory=dict)

    def first(self, name: str, selector: Selector) -> Observation:
        """The earliest observation of this kind, picked as ``name``. None at all is a violation."""
        found = selector.all(self.history)
        if not found:
            self._must_be_complete(f"no {selector.words} was seen", anybody=True)
            seen = f"none among {len(self.history.observations)} messages"
            raise Broken([Violation(f"{selector.words} ({name})", seen)])
        self.picks[name] = found[0]
        return found[0]

    def one(self, name: str, selector: Selector) -> Observation:
        """The only observation of this kind, picked as ``name``."""
        picked = self.first(name, selector)
        found = selector.all(self.history)
        if len(found) > 1:
            frames = tuple(each.first_frame for each in found)
            raise Broken([Violation(f"one {selector.words} ({name})", f"{len(found)} of them", frames)])
        return picked

    def must(self, *checks: Check) -> None:
        """Judges: any violation is broken; none, on incomplete evidence, is inconclusive."""
        violations: list[Violation] = []
        unsure: Inconclusive | None = None
        for check in checks:
            try:
                violations += check(self.history)
            except Inconclusive as error:  # what another check finds to be broken is broken all the same
                unsure = unsure or error
        if violations:
            raise Broken(violations)
        if unsure:
            raise unsure
        self._must_be_complete("nothing contradicts the statement")

    def _must_be_complete(self, otherwise: str, *, anybody: bool = False) -> None:
        """Raises Inconclusive where something is missing that could have changed the judgement.

        A connection of an unknown process counts if it spoke about the
        subjects; for an absence every one counts (``anybody``).
        """
        missing = list(self.history.missing)
        subjects = set(self.subjects)
        speaking = {
            each.connection for each in self.history.observations if anybody or subjects & subject(each)
        }
        missing += [
            f"the process behind connection {each.number} ({each.client} to {each.server}) is unknown"
            for each in self.history.connections
            if each.number in speaking and not (each.client_process.known and each.server_process.known)
        ]
        if missing:
            raise Inconclusive(f"{otherwise}, but evidence is missing: {'; '.join(missing[:3])}")


STORY = pytest.StashKey[Story]()
