"""One judgement of several tests: a measured behaviour at several numbers of nodes, or of workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubewitness.model.verdict import Verdict

#: From what decides alone to what counts only if all say so.
_GRAVITY = [Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.PASSED, Verdict.UNSUPPORTED]

#: The ratio of the medians of fewer samples says nothing.
_FEW = 30


def joined(row: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The row of both tests: the graver verdict, all that was measured, and both tests' ids."""
    graver = min(row, part, key=lambda each: _GRAVITY.index(each["verdict"]))
    return {
        **graver,
        "violations": [*row["violations"], *part["violations"]],
        "duration_s": round(row["duration_s"] + part["duration_s"], 4),
        "nodeid": row["nodeid"],
        "replay": row["replay"],
        "parts": [*row.get("parts", [row["nodeid"]]), part["nodeid"]],
        "measured": _both(row.get("measured"), part.get("measured")),
    }


def _both(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if one is None or other is None:
        return one or other
    curves = [each["curve"] for each in (one, other) if each["curve"]]
    points = [point for curve in curves for point in curve["points"]]
    return {
        **one,
        "series": [*one["series"], *other["series"]],
        "beside": [*one["beside"], *other["beside"]],
        "curve": {**curves[0], "points": points} if curves else None,
    }


def judged_by(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of all tests that made these rows."""
    return {nodeid for row in rows for nodeid in row.get("parts", [row["nodeid"]])}


def price_of_tls(rows: Iterable[Mapping[str, Any]], clusters: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was measured in both setups: that in `tls` as so many times that in `insecure`.

    By medians, and rates by means. A relay in the place of the insecure port has a price, too: it is told.
    """
    known = {each["label"]: each for each in clusters}
    relayed = any(each["insecure_port"] == "relay" for each in known.values())
    figures: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        of = known[row["cluster"]]
        for series in (row.get("measured") or {"series": []})["series"]:
            (median,) = (each["value"] for each in series["percentiles"] if each["p"] == 50)
            rate = row["measured"]["unit"] == "1/s"
            if series["count"] < _FEW and not rate:
                continue
            figure = series["mean"] if rate else median
            figures.setdefault((of["topology"], row["id"], series["label"]), {})[of["setup"]] = figure
    insecure = "insecure, by the relay" if relayed else "insecure"
    return [
        f"{behaviour}, {label}: tls / {insecure} = {both['tls'] / both['insecure']:.2f}"
        for (_, behaviour, label), both in figures.items()
        if both.keys() >= {"tls", "insecure"} and both["insecure"]
    ]
