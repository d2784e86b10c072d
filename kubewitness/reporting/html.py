"""The HTML report: one file that loads nothing, made from results.json."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from kubewitness.reporting import amounts
from kubewitness.reporting.axes import Axis
from kubewitness.reporting.chart import Chart, chart, scale
from kubewitness.reporting.measured import Beside, Headline, beside, headline
from kubewitness.reporting.schema import REPORTS, Results
from kubewitness.reporting.sequence import Diagram, diagram


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one judgement measured, to be shown. ``headline`` is None where no series has samples."""

    headline: Headline | None
    chart: Chart
    beside: list[Beside]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One behaviour judged on one cluster. ``anchor`` is the id of its place in the page."""

    result: Mapping[str, Any]
    anchor: str
    diagram: Diagram | None
    measurement: Measurement | None


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour and its judgements by cluster label. ``about`` is any of its results."""

    about: Mapping[str, Any]
    judgements: dict[str, Judgement] = field(default_factory=dict)


def render(results: Results, out: Path) -> None:
    """Write the page to ``out``. ``results`` are valid by kubewitness.reporting.schema."""
    write_page(
        out,
        "report",
        ["report.css", "measured.css"],
        run=results["run"],
        clusters=results["clusters"],
        areas=_areas(results),
    )


def write_page(out: Path, name: str, styles: Sequence[str], **context: Any) -> None:
    """Write to ``out`` what the template and script of this name, with ``styles``, make of ``context``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(REPORTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=in_words,
        milliseconds=_milliseconds,
        command=shlex.join,
        number=_number,
        amount=amounts.amount,
        fact=_fact,
    )
    script = (REPORTS / f"{name}.js").read_text(encoding="utf-8")
    page = environment.get_template(f"{name}.html.j2").render(
        # These are the project's own files, and nothing of the results is in them.
        style=Markup("".join((REPORTS / each).read_text(encoding="utf-8") for each in styles)),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **context,
    )
    out.write_text(page, encoding="utf-8")


def _areas(results: Results) -> dict[str, list[Row]]:
    """The behaviours by area, each in the order in which they were first judged."""
    scales = _scales(results)
    rows: dict[str, Row] = {}
    for result in results["results"]:
        row = rows.setdefault(result["id"], Row(result))
        row.judgements[result["cluster"]] = _judgement(result, scales)
    areas: dict[str, list[Row]] = {}
    for row in rows.values():
        areas.setdefault(row.about["area"], []).append(row)
    return areas


def _scales(results: Results) -> dict[tuple[str, str], Axis]:
    """By behaviour and unit: one axis for its distributions on all clusters."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results["results"]:
        if measured := result.get("measured"):
            found.setdefault((result["id"], measured["unit"]), []).append(measured)
    return {key: scale(those) for key, those in found.items()}


def _judgement(result: Mapping[str, Any], scales: Mapping[tuple[str, str], Axis]) -> Judgement:
    anchor = f"{result['id']}@{result['cluster']}"
    frames = frozenset(frame for violation in result["violations"] for frame in violation["frames"])
    timeline, measured = result["timeline"], result.get("measured")
    drawn = diagram(timeline, anchor, frames) if timeline else None
    if measured is None:
        return Judgement(result, anchor, drawn, None)
    axis = scales[result["id"], measured["unit"]]
    told = Measurement(headline(measured), chart(measured, axis), beside(measured))
    return Judgement(result, anchor, drawn, told)


def in_words(duration_s: float) -> str:
    """A duration as a person reads it: 840 ms, 6.52 s, 4 min 12 s."""
    if duration_s < 1:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 60:
        return f"{duration_s:.2f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    return f"{minutes} min {seconds} s"


def _milliseconds(offset_ms: float) -> str:
    return f"{offset_ms:+,.2f} ms"


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else amounts.number(value)


def _fact(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A count such as 1,234 is told whole; a fraction is a measured one.
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else _number(value)
