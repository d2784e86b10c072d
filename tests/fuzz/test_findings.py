"""What fuzzing found stays found; and where it begins, every decoder gets by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, run

FINDINGS = sorted(Path(__file__).with_name("findings").glob("*/*"))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    for seed in seeds(target):
        run(target, seed)


@pytest.mark.parametrize("finding", FINDINGS, ids=[f"{each.parent.name}-{each.name}" for each in FINDINGS])
def test_findings(finding: Path) -> None:
    run(finding.parent.name, finding.read_bytes())
