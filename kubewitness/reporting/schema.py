"""The contract of results.json: its JSON Schema, and what a schema cannot say."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

#: The schema and the template lie beside the library, in the checkout.
REPORTS = Path(__file__).parents[2] / "reports"
VERSION = "kubewitness.results/v1"

Results = Mapping[str, Any]


class InvalidResultsError(ValueError):
    """Results that are not what the schema promises; the message says where, and what was found."""


def validate(results: Any) -> None:
    """Raise InvalidResultsError unless ``results`` is a whole and consistent results.json.

    Beyond the schema: every result and every arrow names a cluster or lane that exists, no behaviour is
    judged twice on one cluster, and the summary counts the verdicts that are there.
    """
    found = results.get("schema") if isinstance(results, Mapping) else None
    if found != VERSION:
        raise InvalidResultsError(f"these results are of schema {found!r}; this version reads {VERSION!r}")
    error = best_match(_validator().iter_errors(results))
    if error is not None:
        raise InvalidResultsError(f"results, at {error.json_path}: {_shortened(error.message)}")
    for fault in (*_strangers(results), *_miscounts(results)):
        raise InvalidResultsError(f"results: {fault}")


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


def _shortened(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"
