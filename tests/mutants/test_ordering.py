"""Every behaviour of the area is able to find a cluster broken, and finds nothing else."""

from __future__ import annotations

import pytest

from kubewitness.model.verdict import Verdict
from kubewitness.reporting.behaviours import implemented
from tests.mutants.conftest import TABLE, Judge, Recording
from tests.mutants.mutations import MINIMAL, MUTATIONS, STANDARD, Mutation

#: No cluster can show these yet.
UNSUPPORTED = {"ordering/tls-same-chain"}


def test_each_behaviour_has_a_mutant() -> None:
    declared = {each.id for each in implemented() if each.area == "ordering"}
    assert {each.behaviour for each in MUTATIONS} == declared - UNSUPPORTED


@pytest.mark.parametrize("recording", [MINIMAL, STANDARD])
def test_a_recording_itself_is_judged_as_it_was(
    recording: str, judge: Judge, recordings: dict[str, Recording]
) -> None:
    verdicts = judge(Mutation("none", "", recording=recording))
    assert verdicts == recordings[recording].judged
    assert Verdict.PASSED in verdicts.values()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mutant_is_found_broken(mutation: Mutation, judge: Judge, request: pytest.FixtureRequest) -> None:
    verdicts = judge(mutation)
    broken = {each for each, verdict in verdicts.items() if verdict == Verdict.BROKEN}
    request.config.stash[TABLE].append((mutation.name, mutation.behaviour, ", ".join(sorted(broken))))
    assert broken == {mutation.behaviour, *mutation.neighbours}
    rest = {verdict for each, verdict in verdicts.items() if each not in broken}
    assert rest <= {Verdict.PASSED, Verdict.UNSUPPORTED}
