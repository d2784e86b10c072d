"""What a stored run tells of its clusters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubewitness.reporting.results import Results


def test_a_run_from_before_there_were_emulated_nodes_had_none(sample: dict[str, Any], tmp_path: Path) -> None:
    sample["clusters"][0]["emulated"] = 2
    (tmp_path / "results.json").write_text(json.dumps(sample))
    assert [each.emulated for each in Results.specs_of(tmp_path)] == [2, 0, 0]
