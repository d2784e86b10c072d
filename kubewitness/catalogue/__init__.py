"""The behaviours that are planned: stated, with their sources, before a test judges them."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from kubewitness.model.behaviour import ARTICLE, Behaviour, Kind, Source, doc

_PLANNED = Path(__file__).parent / "planned.toml"


@functools.cache
def planned() -> tuple[Behaviour, ...]:
    """Every behaviour that no test judges yet, in the order of planned.toml, which is by area.

    A need that the file does not explain, or a source without a title, is a KeyError.
    """
    file = _read()
    return tuple(_behaviour(row, file) for row in file["behaviour"])


def needs() -> dict[str, str]:
    """What each need asks of a cluster, by the need's name."""
    return dict(_read()["needs"])


@functools.cache
def _read() -> dict[str, Any]:
    return tomllib.loads(_PLANNED.read_text(encoding="utf-8"))


def _behaviour(row: dict[str, Any], file: dict[str, Any]) -> Behaviour:
    for need in row.get("needs", ()):
        if need not in file["needs"]:
            raise KeyError(f"{_PLANNED.name}: {row['id']} needs {need!r}, which [needs] does not explain")
    return Behaviour(
        id=row["id"],
        says=row["says"],
        kind=Kind(row["kind"]),
        source=_source(row["source"], file["pages"]),
        needs=frozenset(row.get("needs", ())),
        since=row.get("since", ""),
        until=row.get("until", ""),
    )


def _source(page: str, titles: dict[str, str]) -> Source:
    if page == "article":
        return ARTICLE
    if page not in titles:
        raise KeyError(f"{_PLANNED.name}: the source {page!r} has no title in [pages]")
    return Source(titles[page], page if page.startswith("https://") else doc(page).url)
