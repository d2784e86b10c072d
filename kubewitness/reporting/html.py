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

from kubewitness.reporting.schema import REPORTS, Results
from kubewitness.reporting.sequence import Diagram, diagram


@dataclass(frozen=True, slots=True)
class Judgement:
    """One behaviour judged on one cluster. ``anchor`` is the id of its place in the page."""

    result: Mapping[str, Any]
    anchor: str
    diagram: Diagram | None


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
        ["report.css"],
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
    environment.filters.update(seconds=in_words, milliseconds=_milliseconds, command=shlex.join)
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
    rows: dict[str, Row] = {}
    for result in results["results"]:
        row = rows.setdefault(result["id"], Row(result))
        row.judgements[result["cluster"]] = _judgement(result)
    areas: dict[str, list[Row]] = {}
    for row in rows.values():
        areas.setdefault(row.about["area"], []).append(row)
    return areas


def _judgement(result: Mapping[str, Any]) -> Judgement:
    anchor = f"{result['id']}@{result['cluster']}"
    frames = frozenset(frame for violation in result["violations"] for frame in violation["frames"])
    timeline = result["timeline"]
    return Judgement(result, anchor, diagram(timeline, anchor, frames) if timeline else None)


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
