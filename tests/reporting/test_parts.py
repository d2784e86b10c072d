"""Several tests that are one judgement."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fixtures.benchmark import ToldClock
from kubewitness.reporting import schema
from kubewitness.reporting.parts import joined, judged_by, price_of_tls

Json = dict[str, Any]


def _row(nodeid: str, verdict: str = "passed", measured: Json | None = None) -> Json:
    return {
        "id": "latency/x", "cluster": "insecure-simulated", "verdict": verdict, "violations": [],
        "reason": "" if verdict == "passed" else f"{nodeid} says so", "duration_s": 1.25, "nodeid": nodeid,
        "replay": f"replay {nodeid}", "measured": measured,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (["passed", "broken", "inconclusive"], "broken"),
        (["inconclusive", "passed"], "inconclusive"),
        (["unsupported", "passed"], "passed"),
        (["unsupported", "unsupported"], "unsupported"),
    ],
)
def test_the_gravest_verdict_is_that_of_all(verdicts: list[str], wanted: str) -> None:
    row, *rest = (_row(f"t{number}", verdict) for number, verdict in enumerate(verdicts))
    for part in rest:
        row = joined(row, part)
    assert row["verdict"] == wanted
    assert row["nodeid"] == "t0"
    assert row["parts"] == [f"t{number}" for number in range(len(verdicts))]
    assert row["duration_s"] == 1.25 * len(verdicts)
    assert judged_by([row, _row("alone")]) == {*row["parts"], "alone"}


def test_series_and_points_of_a_curve_come_together(measured: Json) -> None:
    other = copy.deepcopy(measured)
    for series in other["series"]:
        series["label"] += " again"
    row = joined(_row("a", measured=measured), _row("b", measured=other))
    assert len(row["measured"]["series"]) == 2 * len(measured["series"])
    assert len(row["measured"]["curve"]["points"]) == 2 * len(measured["curve"]["points"])
    assert joined(_row("a"), _row("b", measured=other))["measured"] == other
    schema.validate_measured(measured)


def test_what_contradicts_itself_is_not_handed_over(measured: Json) -> None:
    measured["series"][0]["count"] += 1
    with pytest.raises(schema.InvalidResultsError, match="its bins hold"):
        schema.validate_measured(measured)
    del measured["unit"]
    with pytest.raises(schema.InvalidResultsError, match="unit"):
        schema.validate_measured(measured)


def test_tls_is_told_by_how_much_longer_the_same_takes(measured: Json) -> None:
    slower = copy.deepcopy(measured)
    for series in slower["series"]:
        for each in series["percentiles"]:
            each["value"] *= 1.5
    rows = [_row("a", measured=measured), _row("b", measured=slower) | {"cluster": "tls-simulated"}]
    clusters = [
        {"label": f"{setup}-simulated", "topology": "simulated", "setup": setup, "insecure_port": port}
        for setup, port in (("insecure", "relay"), ("tls", "none"))
    ]
    told = price_of_tls(rows, clusters)
    assert told[0] == "latency/x, 100 nodes, plain pods: tls / insecure, by the relay = 1.50"
    clusters[0]["insecure_port"] = "real"
    assert price_of_tls(rows, clusters)[0] == "latency/x, 100 nodes, plain pods: tls / insecure = 1.50"
    assert len(told) == len(measured["series"])
    assert price_of_tls(rows[:1], clusters) == []


def test_a_clock_tells_each_sample_as_a_round() -> None:
    clock = ToldClock()
    clock.tell([5_000_000, 7])
    moments = [clock() for _ in range(4)]
    assert [moments[1] - moments[0], moments[3] - moments[2]] == [0.005, 7e-9]
