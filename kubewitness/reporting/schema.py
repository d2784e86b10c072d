"""The contract of results.json: its JSON Schema, and what a schema cannot say."""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from kubewitness.reporting import amounts

#: The schema and the template lie beside the library, in the checkout.
REPORTS = Path(__file__).parents[2] / "reports"
VERSION = "kubewitness.results/v1"

Results = Mapping[str, Any]


class InvalidResultsError(ValueError):
    """Results that are not what the schema promises; the message says where, and what was found."""


def validate(results: Any) -> None:
    """Raise InvalidResultsError unless ``results`` is a whole and consistent results.json.

    Beyond the schema: every result and every arrow names a cluster or lane that exists, no behaviour is
    judged twice on one cluster, the summary counts the verdicts that are there, and measurements add up.
    """
    found = results.get("schema") if isinstance(results, Mapping) else None
    if found != VERSION:
        raise InvalidResultsError(f"these results are of schema {found!r}; this version reads {VERSION!r}")
    error = best_match(_validator().iter_errors(results))
    if error is not None:
        raise InvalidResultsError(f"results, at {error.json_path}: {_shortened(error.message)}")
    for fault in (*_strangers(results), *_miscounts(results), *_mismeasured(results)):
        raise InvalidResultsError(f"results: {fault}")


def validate_measured(measured: Mapping[str, Any]) -> None:
    """The same of one measurement that a test is about to hand over, so that it fails alone."""
    rules = {"$defs": _validator().schema["$defs"], "$ref": "#/$defs/measured"}
    error = best_match(Draft202012Validator(rules).iter_errors(measured))
    if error is not None:
        raise InvalidResultsError(f"measured, at {error.json_path}: {_shortened(error.message)}")
    for fault in _faults(measured):
        raise InvalidResultsError(f"measured: {fault}")


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((REPORTS / "results.schema.json").read_text(encoding="utf-8")))


def _strangers(results: Results) -> list[str]:
    """Names that nothing stands for."""
    labels = {cluster["label"] for cluster in results["clusters"]}
    faults = []
    for each in results["results"]:
        if each["cluster"] not in labels:
            faults.append(
                f"{each['id']} was judged on {each['cluster']!r}, which is none of {sorted(labels)}"
            )
        timeline = each["timeline"] or {"lanes": [], "events": []}
        faults += [
            f"{each['id']}: packet {event['frame']} goes to or from none of the lanes {timeline['lanes']}"
            for event in timeline["events"]
            if not {event["from"], event["to"]} <= set(timeline["lanes"])
        ]
    return faults


def _miscounts(results: Results) -> list[str]:
    """Results that are there twice, and a summary that does not sum up."""
    times = Counter((each["id"], each["cluster"]) for each in results["results"])
    faults = [f"{name} was judged {n} times on {cluster!r}" for (name, cluster), n in times.items() if n > 1]
    counted = Counter(each["verdict"] for each in results["results"])
    for verdict, said in results["run"]["summary"].items():
        if counted[verdict] != said:
            faults.append(f"the summary says {said} {verdict}, and {counted[verdict]} are listed")
    return faults


def _mismeasured(results: Results) -> list[str]:
    """Measurements that contradict themselves, each by its first fault."""
    return [
        f"{each['id']}: {fault}"
        for each in results["results"]
        if each.get("measured") and (fault := next(_faults(each["measured"]), ""))
    ]


def _faults(measured: Mapping[str, Any]) -> Iterator[str]:
    labels = [series["label"] for series in measured["series"]]
    for label in {each for each in labels if labels.count(each) > 1}:
        yield f"two series are {label!r}"
    for series in measured["series"]:
        for fault in _faults_of(series):
            yield f"series {series['label']!r}: {fault}"
    for metric in measured["beside"]:
        if metric.get("series", labels[0]) not in labels:
            yield f"{metric['name']} is about {metric['series']!r}, which is none of {labels}"
        try:
            amounts.factor(metric["unit"], measured["unit"])
        except ValueError as error:
            yield f"{metric['name']}: {error}"


def _faults_of(series: Mapping[str, Any]) -> Iterator[str]:
    drawn = sum(each["count"] for each in series["bins"])
    if drawn != series["count"]:
        yield f"its bins hold {drawn} samples of {series['count']}"
    if series["count"] and None in (series["mean"], series["min"], series["max"]):
        yield "it has samples, but not mean, min and max"
    edges = [edge for each in series["bins"] for edge in (each["from"], each["to"])]
    if edges != sorted(edges):
        yield "its bins overlap or are out of order"
    found = sorted(series["percentiles"], key=lambda each: each["p"])
    if any(one["value"] > other["value"] for one, other in itertools.pairwise(found)):
        yield "a higher percentile is of a lower value"
    for each in found:
        bounds = [each[end] for end in ("low", "value", "high") if each[end] is not None]
        if bounds != sorted(bounds):
            yield f"percentile {each['p']} is outside of its confidence interval"
    times = [each["at_s"] for each in series["over_time"]]
    if times != sorted(set(times)):
        yield "its times are out of order"


def _shortened(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"
