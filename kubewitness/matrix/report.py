"""The matrix report: behaviours by version, provider and setup, as JSON and as a page."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix import page, store
from kubewitness.matrix.cells import MATRIX, Cell
from kubewitness.matrix.store import CellResult
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.verdict import Verdict
from kubewitness.reporting import schema
from kubewitness.reporting.measured import headline

VERSION = "kubewitness.matrix/v1"
#: Of a behaviour judged on several topologies the worst verdict counts. One that lacks a need says least.
_WORST_FIRST = (Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.PASSED, Verdict.UNSUPPORTED)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One cell's run: its end as a cell of a matrix, its clusters, and the rows that they were judged by."""

    cell: Cell
    directory: Path
    result: CellResult | None
    run: Mapping[str, Any] | None
    clusters: tuple[Mapping[str, Any], ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def finished(self) -> str:
        if self.result:
            return self.result.finished
        assert self.run is not None, "a run that is no matrix's has results"
        return str(self.run["finished"]).replace("Z", "+00:00")


def write_report(directories: Sequence[Path], out: Path) -> Path:
    """Write matrix.json and matrix.html into ``out``; the latter's path.

    ``directories`` are those of runs, or of matrices, which hold several. UsageError if one holds neither.
    """
    columns = [column for each in directories for run in runs_in(each) for column in columns_of(run)]
    report = build(columns, out)
    validate(report)
    out.mkdir(parents=True, exist_ok=True)
    (out / "matrix.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    page.render(report, out / "matrix.html")
    return out / "matrix.html"


def runs_in(directory: Path) -> list[Path]:
    """The run that this directory is of, or those that it holds. A matrix's cell without a result is none."""
    if _holds(directory, store.FILE) or _holds(directory, "results.json"):
        return [directory]
    inner = sorted(each for each in directory.glob("*") if each.is_dir() and not each.is_symlink())
    for file in (store.FILE, "results.json"):
        if found := [each for each in inner if _holds(each, file)]:
            return found
    raise UsageError(
        f"{directory} is neither a run's directory nor that of a matrix: there is no results.json"
    )


def _holds(directory: Path, name: str) -> bool:
    return (directory / name).is_file()


def columns_of(directory: Path) -> list[Column]:
    """What was judged in this run, cell by cell. UsageError if its files are not what they should be."""
    try:
        result = store.read(directory / store.FILE) if _holds(directory, store.FILE) else None
        if not _holds(directory, "results.json"):
            return [Column(result.cell, directory, result, None)] if result else []
        results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        schema.validate(results)
    except (OSError, ValueError) as error:
        raise UsageError(f"{directory} cannot be read: {error}") from error
    clusters: dict[Cell, list[Mapping[str, Any]]] = {}
    for cluster in results["clusters"]:
        minor = "{}.{}".format(*parse_minor(cluster["version"]))
        clusters.setdefault(Cell(cluster["provider"], minor, cluster["setup"]), []).append(cluster)
    return [
        Column(
            cell, directory, result, results["run"], tuple(those),
            tuple(row for row in results["results"] if row["cluster"] in {each["label"] for each in those}),
        )
        for cell, those in clusters.items()
    ]  # fmt: skip


def build(columns: Iterable[Column], out: Path) -> Json:
    """The report as JSON. Paths in it are relative to ``out``, where it will lie."""
    newest = {each.cell: each for each in sorted(columns, key=lambda each: each.finished)}
    ordered = sorted(newest.values(), key=lambda each: _order(each.cell))
    abouts: dict[str, Mapping[str, Any]] = {}
    cells: dict[str, dict[Cell, Json]] = {}
    for column in ordered:
        for name, rows in _by_behaviour(column.rows).items():
            abouts[name] = rows[0]
            cells.setdefault(name, {})[column.cell] = _verdict(rows)
    return {
        "schema": VERSION,
        "columns": [_column(each, out) for each in ordered],
        "missing": _missing(ordered),
        "behaviours": [_behaviour(abouts[name], cells[name]) for name in sorted(abouts)],
        "differences": _differences(cells),
    }


def _order(cell: Cell) -> tuple[object, ...]:
    """Series beside each other, each in the order of versions."""
    return {"local": 0, "kind": 1}.get(cell.provider, 2), cell.provider, cell.setup, cell.number


def _by_behaviour(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row)
    return found


def _column(column: Column, out: Path) -> Json:
    result, report = column.result, (column.directory / "report.html").resolve()
    beside = report.is_file() and report.is_relative_to(out.resolve())
    verdicts = {Verdict(row["verdict"]) for row in column.rows}
    judged_s = sum(row["duration_s"] for row in column.rows)
    return {
        "id": column.cell.name,
        "provider": column.cell.provider,
        "version": column.cell.minor,
        "setup": column.cell.setup,
        "outcome": result.outcome if result else _worst(verdicts - {Verdict.UNSUPPORTED}, Verdict.PASSED),
        "message": result.message if result else "",
        "key": result.key if result else "",
        "arguments": list(result.arguments) if result else [],
        "finished": column.finished,
        "duration_s": round(result.duration_s if result else judged_s, 3),
        "clusters": [
            {
                "label": each["label"],
                "version": each["version"],
                "nodes": each["nodes"],
                "insecure_port": each["insecure_port"],
                "visibility": each["visibility"],
            }
            for each in column.clusters
        ],
        "summary": {str(each): sum(row["verdict"] == each for row in column.rows) for each in Verdict},
        "report": os.path.relpath(report, out.resolve()) if beside else None,
    }


def _worst(verdicts: Iterable[Verdict], default: Verdict) -> Verdict:
    return min(verdicts, key=_WORST_FIRST.index, default=default)


def _missing(columns: Sequence[Column]) -> list[str]:
    """The cells of the matrix that have no result. Runs that belong to no matrix miss none."""
    if not any(each.result for each in columns):
        return []
    return [cell.name for cell in MATRIX if cell not in {each.cell for each in columns}]


def _verdict(rows: Sequence[Mapping[str, Any]]) -> Json:
    """What one behaviour came to in one cell, over its topologies."""
    verdict = _worst((Verdict(row["verdict"]) for row in rows), Verdict.UNSUPPORTED)
    reasons = {row["cluster"]: row["reason"] for row in rows if row["verdict"] == verdict}
    judged = [row for row in rows if row["verdict"] != Verdict.UNSUPPORTED]
    return {
        "verdict": str(verdict),
        "reason": _reason(verdict, reasons),
        "duration_s": round(sum(row["duration_s"] for row in judged), 3),
        "judgements": [_told(row) for row in rows],
    }


def _told(row: Mapping[str, Any]) -> Json:
    """One judgement, with median and 99th percentile of what it measured."""
    told = {name: row[name] for name in ("cluster", "verdict", "reason")}
    found = headline(row["measured"]) if row.get("measured") else None
    return {**told, "measured": dataclasses.asdict(found)} if found else told


def _reason(verdict: Verdict, reasons: Mapping[str, str]) -> str:
    """What all topologies say, such as the needs that none of them meets; if nothing, what each says."""
    unsupported = verdict is Verdict.UNSUPPORTED
    first, *others = (each.split(", ") if unsupported else [each] for each in reasons.values())
    if common := [part for part in first if all(part in each for each in others)]:
        return ", ".join(common)
    return "; ".join(f"{label}: {reason}" for label, reason in reasons.items())


def _behaviour(about: Mapping[str, Any], cells: Mapping[Cell, Json]) -> Json:
    durations = [each["duration_s"] for each in cells.values() if each["verdict"] != Verdict.UNSUPPORTED]
    return {
        **{name: about[name] for name in ("id", "area", "says", "kind", "needs", "source", "since", "until")},
        "median_s": round(statistics.median(durations), 3) if durations else None,
        "cells": {cell.name: each for cell, each in cells.items()},
        "changes": [change for series in _series(cells) for change in changes(series, cells)],
    }


def _series(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """The cells of each provider and setup, in the order of versions."""
    for _, group in itertools.groupby(sorted(cells, key=_order), key=lambda cell: cell.series):
        yield list(group)


def changes(series: Sequence[Cell], cells: Mapping[Cell, Json]) -> list[Json]:
    """Where the verdict turns along the versions of one provider and setup. A gap is no change."""
    return [
        {
            "provider": cell.provider,
            "setup": cell.setup,
            "last": before.minor,
            "first": cell.minor,
            "was": {name: cells[before][name] for name in ("verdict", "reason")},
            "is": {name: cells[cell][name] for name in ("verdict", "reason")},
        }
        for before, cell in itertools.pairwise(series)
        if cells[before]["verdict"] != cells[cell]["verdict"]
    ]


def _differences(cells: Mapping[str, Mapping[Cell, Json]]) -> list[Json]:
    """What the same version answers differently in two setups or with two providers, all else being equal.

    Differences of the same kind and with the same unmet needs are one, with all behaviours and versions
    that show it.
    """
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name, judged in cells.items():
        for one, other in itertools.combinations(sorted(judged, key=_order), 2):
            if pair := _pair(one, other):
                sides = (*_side(judged[one]), *_side(judged[other]))
                if sides[0] != sides[2]:
                    found.setdefault((*pair, *sides), {}).setdefault(name, []).append(one.minor)
    return [
        {
            "between": between,
            "of": of,
            "sides": [
                {"name": one, "verdict": was, "reason": why},
                {"name": other, "verdict": is_, "reason": why_not},
            ],
            "behaviours": [{"id": name, "versions": versions} for name, versions in sorted(those.items())],
        }
        for (between, of, one, other, was, why, is_, why_not), those in sorted(found.items())
    ]


def _pair(one: Cell, other: Cell) -> tuple[str, str, str, str] | None:
    """What the two cells, of one version, differ in: its name, what they have in common, and both values."""
    if one.minor != other.minor or (one.provider != other.provider and one.setup != other.setup):
        return None
    if one.provider == other.provider:
        return "setups", one.provider, one.setup, other.setup
    return "providers", one.setup, one.provider, other.provider


def _side(cell: Json) -> tuple[str, str]:
    """The verdict, and the needs that are not met. What else went wrong is told in each cell alone."""
    return cell["verdict"], cell["reason"] if cell["verdict"] == Verdict.UNSUPPORTED else ""


def validate(report: Json) -> None:
    """Raise jsonschema's ValidationError unless the report is what its schema promises."""
    _validator().validate(report)


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(
        json.loads((schema.REPORTS / "matrix.schema.json").read_text(encoding="utf-8"))
    )
