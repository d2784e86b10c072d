"""Runs that are made up: their results, and the commands that leave them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubewitness.matrix import store
from kubewitness.matrix.cells import Cell
from kubewitness.matrix.store import CellResult

#: Verdict and reason by behaviour and topology. "standard" stands for a behaviour's only one.
Verdicts = Mapping[str, Mapping[str, tuple[str, str]]]
PASSED = ("passed", "")
KEY = "0123456789ab"


def results(
    cell: Cell,
    verdicts: Verdicts,
    *,
    finished: str = "2026-11-24T03:00:00Z",
    measured: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A results.json of one cell. ``measured`` is what the rows that passed have measured."""
    labels = sorted({f"{cell.setup}-{topology}" for each in verdicts.values() for topology in each})
    rows: list[dict[str, Any]] = [
        {
            "id": name, "area": name.split("/")[0], "says": f"That {name} holds.", "kind": "required",
            "needs": [], "source": {"title": "concepts", "url": "https://kubernetes.io/docs/concepts/"},
            "since": "", "until": "", "cluster": f"{cell.setup}-{topology}", "verdict": verdict,
            "reason": reason, "violations": [], "duration_s": 1.5, "nodeid": f"{name}[{topology}]",
            "replay": "", "timeline": None, "changes": [],
            "measured": measured if verdict == "passed" else None,
        }
        for name, topologies in verdicts.items()
        for topology, (verdict, reason) in topologies.items()
    ]  # fmt: skip
    counted = Counter(str(row["verdict"]) for row in rows)
    return {
        "schema": "kubewitness.results/v1",
        "run": {
            "id": cell.name, "started": "2026-11-24T02:00:00Z", "finished": finished, "duration_s": 60.0,
            "kubewitness": "0.1.0", "command": ["pytest"], "exit_code": 0,
            "host": {"kernel": "6", "machine": "x86_64", "python": "3.11.7", "cores": 2, "memory_mib": 9},
            "summary": {each: counted[each] for each in ("passed", "broken", "unsupported", "inconclusive")},
        },
        "clusters": [
            {
                "label": label, "version": f"{cell.minor}.2", "provider": cell.provider, "setup": cell.setup,
                "topology": label.split("-")[1], "nodes": 1, "visibility": "encrypted", "start_s": {},
                "insecure_port": "none", "teardown_s": 1.0, "capture": None, "evidence": "", "binaries": [],
            }
            for label in labels
        ],
        "results": rows,
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run's directory: of a matrix, if it has an exit code."""

    def make(
        name: str,
        verdicts: Verdicts | None,
        *,
        exit_code: int | None = None,
        place: Path = tmp_path,
        **told: Any,
    ) -> Path:
        cell, directory = Cell.parse(name), place / str(told.pop("directory", name))
        directory.mkdir(parents=True)
        if verdicts is not None:
            (directory / "results.json").write_text(json.dumps(results(cell, verdicts, **told)))
            (directory / "report.html").write_text("<!doctype html>")
        if exit_code is not None:
            message = "the API server did not come up" if exit_code == 3 else ""
            times = "2026-11-24T02:00:00+00:00", "2026-11-24T03:00:00+00:00"
            store.write(CellResult(cell, KEY, (), exit_code, message, *times, 61.0), directory)
        return directory

    return make
