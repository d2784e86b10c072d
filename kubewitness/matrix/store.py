"""What became of each cell: one file per result, written last, so that a cell cut off has none."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix.cells import Cell

SCHEMA = "kubewitness.cell/v1"
FILE = "cell.json"
LOG = "run.log"
#: What an exit code of a run says of its cell. Any other one says that there is no result.
OUTCOMES = {0: "passed", 1: "broken", 3: "no cluster", 4: "inconclusive"}
_PYTEST_EXIT = re.compile(r"^!+ _pytest\.outcomes\.Exit: (.*?) !+$", re.MULTILINE | re.DOTALL)
_OWN_ERROR = re.compile(
    r"^(?:kubewitness: (?:error: )?|pytest\.main\(\): error: |ERROR: (?!usage: )|Exit: )(.*)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class CellResult:
    """The end of a cell's run. ``message`` is its last word if it did not pass: why there is no cluster."""

    cell: Cell
    key: str
    arguments: tuple[str, ...]
    exit_code: int
    message: str
    started: str
    finished: str
    duration_s: float

    @property
    def outcome(self) -> str:
        return OUTCOMES[self.exit_code]


def write(result: CellResult, directory: Path) -> None:
    """Store the result in the cell's directory, at once or not at all."""
    content = {"schema": SCHEMA, **asdict(result), "cell": result.cell.name}
    draft = directory / f".{FILE}-{os.getpid()}"
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(directory / FILE)


def read(file: Path) -> CellResult:
    """The result in this file; UsageError if it is none."""
    try:
        return _parsed(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} is no cell's result: {error}; remove it, and the cell runs again"
        ) from error


def _parsed(content: Any) -> CellResult:
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise ValueError(f"wanted is schema {SCHEMA!r}")
    try:
        cell, arguments = Cell.parse(content.pop("cell")), tuple(content.pop("arguments"))
        result = CellResult(cell=cell, arguments=arguments, **content)
    except (KeyError, TypeError) as error:
        raise ValueError(f"wrong fields: {error}") from error
    if result.exit_code not in OUTCOMES:
        raise ValueError(f"exit code {result.exit_code} is none of a result")
    return result


def stored(directory: Path) -> Iterator[CellResult]:
    """The results of the matrix in this directory."""
    for file in sorted(directory.glob(f"*-*-*/{FILE}")):
        yield read(file)


def earlier(place: Path, arguments: Sequence[str]) -> list[CellResult]:
    """The results of all matrices below ``place``, of runs with these arguments, the oldest first."""
    found = [each for directory in sorted(place.glob("*")) for each in stored(directory)]
    return sorted(
        (each for each in found if list(each.arguments) == list(arguments)), key=lambda each: each.finished
    )


def begun(place: Path) -> dict[Cell, float]:
    """When each cell last ran in any matrix below ``place``, to an end or not: its log's time."""
    logs = sorted(place.glob(f"*/*-*-*/{LOG}"), key=lambda log: log.stat().st_mtime)
    return {Cell.parse(log.parent.name): log.stat().st_mtime for log in logs}


def newest(place: Path) -> Path | None:
    """The matrix below ``place`` that got a result last."""
    files = sorted(place.glob(f"*/*-*-*/{FILE}"), key=lambda file: read(file).finished)
    return files[-1].parents[1] if files else None


def last_word(log: str) -> str:
    """Why a run ended: what pytest or the command said last, else its last line."""
    if said := _PYTEST_EXIT.findall(log) or _OWN_ERROR.findall(log):
        return " ".join(str(said[-1]).split())
    lines = log.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
