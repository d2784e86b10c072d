"""A sample of results.json: three clusters, all four verdicts, timelines of 20 and 21 messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).with_name("sample.json")
#: A made-up measurement: four series, metrics beside it, and a curve over nodes.
MEASURED = Path(__file__).with_name("measured.json")


@pytest.fixture
def sample() -> dict[str, Any]:
    """The sample, to be changed at will."""
    results: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return results


@pytest.fixture
def broken(sample: dict[str, Any]) -> dict[str, Any]:
    """The one result of the sample that is broken; it has a timeline."""
    (result,) = [each for each in sample["results"] if each["verdict"] == "broken"]
    found: dict[str, Any] = result
    return found


@pytest.fixture
def measured(sample: dict[str, Any]) -> dict[str, Any]:
    """What the sample's new last row, ``latency/create-to-bound`` on insecure-standard, has measured."""
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    row = next(each for each in sample["results"] if each["verdict"] == "passed")
    told = {"id": "latency/create-to-bound", "area": "latency", "kind": "measured", "timeline": None}
    sample["results"].append({**row, **told, "cluster": "insecure-standard", "measured": found})
    sample["run"]["summary"]["passed"] += 1
    return found
