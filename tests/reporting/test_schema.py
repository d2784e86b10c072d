"""The contract of results.json: what it accepts, and what each refusal says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kubewitness.reporting import schema

Results = dict[str, Any]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema._validator().schema)


def test_the_sample_is_valid(sample: Results) -> None:
    schema.validate(sample)


def test_a_cluster_may_tell_what_its_components_allow_themselves(sample: Results) -> None:
    told: Results = {"kube-scheduler": {"qps": 5000, "burst": 10000}, "kwok": {"qps": None, "burst": None}}
    sample["clusters"][0]["client_limits"] = told
    schema.validate(sample)
    del told["kwok"]["burst"]
    with pytest.raises(schema.InvalidResultsError, match=r"client_limits\.kwok"):
        schema.validate(sample)


def drop_verdict(results: Results) -> None:
    del results["results"][0]["verdict"]


def unknown_verdict(results: Results) -> None:
    results["results"][0]["verdict"] = "flaky"


def unknown_field(results: Results) -> None:
    results["run"]["retries"] = 1


def unexplained(results: Results) -> None:
    first(results, "inconclusive")["reason"] = ""


def passed_with_violation(results: Results) -> None:
    first(results, "passed")["violations"] = [{"wanted": "a", "seen": "b", "frames": []}]


def frame_zero(results: Results) -> None:
    first(results, "broken")["violations"][0]["frames"] = [0]


def local_time(results: Results) -> None:
    results["run"]["started"] = "2026-11-24 02:23"


def odd_event(results: Results) -> None:
    first(results, "broken")["timeline"]["events"][2]["kind"] = "carrier-pigeon"


def plain_link(results: Results) -> None:
    results["results"][0]["source"]["url"] = "javascript:alert(1)"


def strange_cluster(results: Results) -> None:
    results["results"][0]["cluster"] = "moon"


def strange_lane(results: Results) -> None:
    first(results, "broken")["timeline"]["lanes"].remove("etcd")


def judged_twice(results: Results) -> None:
    results["results"].append(results["results"][0])


def miscounted(results: Results) -> None:
    results["run"]["summary"]["passed"] += 1


def other_version(results: Results) -> None:
    results["schema"] = "kubewitness.results/v2"


def first(results: Results, verdict: str) -> Results:
    found: Results = next(each for each in results["results"] if each["verdict"] == verdict)
    return found


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (drop_verdict, r"\$\.results\[0\]: 'verdict' is a required property"),
        (unknown_verdict, r"\$\.results\[0\]\.verdict: 'flaky' is not one of"),
        (unknown_field, r"\$\.run: .*'retries' was unexpected"),
        (unexplained, r"\.reason: '' should be non-empty"),
        (passed_with_violation, r"\.violations: .* is too long|\.violations: .* expected to be empty"),
        (frame_zero, r"frames\[0\]: 0 is less than the minimum of 1"),
        (local_time, r"\$\.run\.started: '2026-11-24 02:23' does not match"),
        (odd_event, r"timeline\.events\[2\]\.kind: 'carrier-pigeon' is not one of"),
        (plain_link, r"source\.url: 'javascript:alert\(1\)' does not match"),
        (strange_cluster, r"was judged on 'moon', which is none of"),
        (strange_lane, r"packet 4009 goes to or from none of the lanes"),
        (judged_twice, r"was judged 2 times on 'insecure-minimal'"),
        (miscounted, r"the summary says 21 passed, and 20 are listed"),
        (other_version, r"schema 'kubewitness\.results/v2'; this version reads 'kubewitness\.results/v1'"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_fault_is_one_clear_message(
    sample: Results, mutate: Callable[[Results], None], message: str
) -> None:
    mutate(sample)
    with pytest.raises(schema.InvalidResultsError, match=message) as refused:
        schema.validate(sample)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("found", [[], None, {}], ids=["list", "null", "empty"])
def test_something_else_is_refused(found: Any) -> None:
    with pytest.raises(schema.InvalidResultsError, match="schema None"):
        schema.validate(found)
