"""The samples that are published beside the templates are of real runs, and still valid."""

from __future__ import annotations

import json
from pathlib import Path

from kubewitness.matrix import report
from kubewitness.reporting import schema

SAMPLE = Path(__file__).parents[2] / "reports" / "sample"


def test_the_published_sample_is_valid_and_all_green() -> None:
    results = json.loads((SAMPLE / "results.json").read_text())
    schema.validate(results)
    assert {row["verdict"] for row in results["results"]} <= {"passed", "unsupported"}
    assert results["run"]["id"] in (SAMPLE / "report.html").read_text()


def test_the_published_matrix_is_valid_and_all_green() -> None:
    matrix = json.loads((SAMPLE / "matrix.json").read_text())
    report.validate(matrix)
    assert {column["outcome"] for column in matrix["columns"]} == {"passed"}
    page = (SAMPLE / "matrix.html").read_text()
    assert all(f'id="{column["id"]}"' in page for column in matrix["columns"])
