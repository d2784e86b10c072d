"""Every behaviour of the area is able to find a cluster broken, and finds nothing else."""

from __future__ import annotations

import pytest

from tests.mutants.conftest import Jury
from tests.mutants.mutations import Mutation
from tests.mutants.mutations_latency import MUTATIONS, REAL, SIMULATED


def test_each_behaviour_has_a_mutant(jury: Jury) -> None:
    jury.each_behaviour_has_a_mutant("latency", MUTATIONS)


@pytest.mark.parametrize("recording", [SIMULATED, REAL])
def test_a_recording_itself_is_judged_as_it_was(recording: str, jury: Jury) -> None:
    jury.judges_as_it_did(recording)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mutant_is_found_broken(mutation: Mutation, jury: Jury) -> None:
    jury.kills(mutation)
