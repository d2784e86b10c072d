"""The sample that is published beside the template is a real run, and still valid."""

from __future__ import annotations

import json
from pathlib import Path

from kubewitness.reporting import schema

SAMPLE = Path(__file__).parents[2] / "reports" / "sample"


def test_the_published_sample_is_valid_and_all_green() -> None:
    results = json.loads((SAMPLE / "results.json").read_text())
    schema.validate(results)
    assert {row["verdict"] for row in results["results"]} <= {"passed", "unsupported"}
    assert results["run"]["id"] in (SAMPLE / "report.html").read_text()
