"""The matrix report as a page that loads nothing, made of its JSON."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewitness.matrix.cells import Cell
from kubewitness.reporting import amounts
from kubewitness.reporting.html import in_words, write_page
from kubewitness.reporting.measured import Headline

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """One place of the table. ``verdict`` is "" where nothing was judged.

    ``values`` are what was measured, in ``unit`` if they are not each in one of their own.
    """

    verdict: str
    title: str
    changed: bool = False
    values: Sequence[str] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One version in which a behaviour was judged; ``link`` leads into that run's report, if it is beside.

    ``value`` is what was measured in a line; empty if nothing was.
    """

    version: str
    link: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """The cells that answered alike, by series."""

    verdict: str
    reason: str
    series: dict[str, list[Place]]


@dataclass(frozen=True, slots=True)
class Row:
    about: Json
    marks: list[Mark]
    groups: list[Group]
    differs: bool


@dataclass(frozen=True, slots=True)
class Area:
    """``marks`` sum up each column: how many behaviours passed, in the colour of the worst verdict."""

    name: str
    rows: list[Row]
    marks: list[tuple[str, str, int]]


def render(report: Json, out: Path) -> None:
    """Write the page to ``out``. ``report`` is valid by kubewitness.matrix.report."""
    columns = report["columns"]
    write_page(
        out,
        "matrix",
        ["report.css", "matrix.css"],
        report=report,
        columns=columns,
        heads=list(Counter(_series(each) for each in columns).items()),
        keys=sorted({each["key"] for each in columns if each["key"]}),
        selections=sorted({shlex.join(each["arguments"]) for each in columns if each["arguments"]}),
        judgements=sum(sum(each["summary"].values()) for each in columns),
        outcomes=Counter(each["outcome"] for each in columns),
        areas=_areas(report["behaviours"], columns),
        changes=_changes(report["behaviours"]),
        spans=spans,
    )


def _series(of: Json) -> str:
    return f"{of['provider']} {of['setup']}"


def _areas(behaviours: Iterable[Json], columns: Sequence[Json]) -> list[Area]:
    rows: dict[str, list[Row]] = {}
    for each in behaviours:
        rows.setdefault(each["area"], []).append(_row(each, columns))
    return [
        Area(
            name,
            those,
            [_sum([row.marks[number].verdict for row in those]) for number in range(len(columns))],
        )
        for name, those in rows.items()
    ]


def _sum(verdicts: Sequence[str]) -> tuple[str, str, int]:
    """The worst verdict of a column in an area, all of them in words, and how many are of the worst."""
    counted = Counter(each for each in verdicts if each)
    worst = next((each for each in ("broken", "inconclusive", "passed", "unsupported") if counted[each]), "")
    told = ", ".join(f"{number} {verdict}" for verdict, number in counted.items()) or "not judged"
    return worst, told, counted[worst] if worst else 0


def _row(behaviour: Json, columns: Sequence[Json]) -> Row:
    turned = {f"{each['provider']}-{each['first']}-{each['setup']}": each for each in behaviour["changes"]}
    marks = [_mark(behaviour["cells"].get(each["id"]), each, turned.get(each["id"])) for each in columns]
    verdicts = {each["verdict"] for each in behaviour["cells"].values()}
    return Row(behaviour, marks, _groups(behaviour, columns), differs=len(verdicts) > 1)


def _mark(cell: Json | None, column: Json, change: Json | None) -> Mark:
    where = f"{column['provider']} {column['version']} {column['setup']}"
    if cell is None:
        return Mark("", f"{where}: {column['message'] or 'not judged'}")
    took = f" in {in_words(cell['duration_s'])}" if cell["verdict"] != "unsupported" else ""
    reason = f": {cell['reason']}" if cell["reason"] else ""
    was = f" (in {change['last']} {change['was']['verdict']})" if change else ""
    found = _headline(cell)
    values, unit = amounts.alike(found.unit, found.p50, found.p99) if found else ([], "")
    measured = f": p50 / p99 {found.text}, {found.series}" if found else ""
    title = f"{where}: {cell['verdict']}{took}{was}{reason}{measured}"
    return Mark(cell["verdict"], title, changed=change is not None, values=values, unit=unit)


def _groups(behaviour: Json, columns: Sequence[Json]) -> list[Group]:
    groups: dict[tuple[str, str], Group] = {}
    for column in columns:
        if cell := behaviour["cells"].get(column["id"]):
            alike = cell["verdict"], cell["reason"]
            group = groups.setdefault(alike, Group(*alike, {}))
            found, link = _headline(cell), _link(behaviour["id"], cell, column["report"])
            place = Place(column["version"], link, found.text if found else "")
            group.series.setdefault(_series(column), []).append(place)
    return list(groups.values())


def _link(behaviour: str, cell: Json, report: str | None) -> str | None:
    return f"{report}#{behaviour}@{_decisive(cell)['cluster']}" if report else None


def _decisive(cell: Json) -> Json:
    """The judgement that the cell has its verdict from; one that measured, if there is any."""
    those = [each for each in cell["judgements"] if each["verdict"] == cell["verdict"]]
    found: Json = next((each for each in those if "measured" in each), those[0])
    return found


def _headline(cell: Json) -> Headline | None:
    measured = _decisive(cell).get("measured")
    return Headline(**measured) if measured else None


def _changes(behaviours: Iterable[Json]) -> dict[tuple[str, str, str, str], dict[str, dict[str, str]]]:
    """By versions and verdicts before and after: the behaviours, each with its reasons by series."""
    found: dict[tuple[str, str, str, str], dict[str, dict[str, str]]] = {}
    for behaviour in behaviours:
        for each in behaviour["changes"]:
            turn = each["last"], each["first"], each["was"]["verdict"], each["is"]["verdict"]
            reason = each["is"]["reason"] or each["was"]["reason"]
            found.setdefault(turn, {}).setdefault(behaviour["id"], {})[_series(each)] = reason
    return dict(sorted(found.items(), key=lambda item: [Cell("", minor, "").number for minor in item[0][:2]]))


def spans(versions: Sequence[str]) -> str:
    """Versions in short: 1.19, 1.29-1.31, with a dash as books have it."""
    numbers = sorted(Cell("", each, "").number for each in set(versions))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"1.{run[0]}" + (f"\N{EN DASH}1.{run[-1]}" if len(run) > 1 else "") for run in runs)
