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


def test_a_measurement_is_valid(sample: Results, measured: Results) -> None:
    schema.validate(sample)
    measured["series"][0] |= {"count": 0, "mean": None, "min": None, "max": None}
    measured["series"][0] |= {"percentiles": [], "bins": [], "over_time": []}
    measured["curve"] = sample["results"][0]["measured"] = None
    schema.validate(sample)


def unknown_condition(measured: Results) -> None:
    measured["facts"]["rates"] = [1, 2]


def no_interval(measured: Results) -> None:
    del measured["series"][0]["percentiles"][0]["low"]


def negative(measured: Results) -> None:
    measured["series"][0]["min"] = -0.1


def no_base64(measured: Results) -> None:
    measured["series"][0]["histogram"]["data"] = "<script>"


def no_unit(measured: Results) -> None:
    measured["curve"]["points"][0]["throughput"] = 3


def named_twice(measured: Results) -> None:
    measured["series"][1]["label"] = measured["series"][0]["label"]


def lost_samples(measured: Results) -> None:
    del measured["series"][0]["bins"][0]


def no_mean(measured: Results) -> None:
    measured["series"][0]["mean"] = None


def overlapping(measured: Results) -> None:
    measured["series"][0]["bins"][1]["from"] -= 0.1


def falling(measured: Results) -> None:
    measured["series"][0]["percentiles"][3]["value"] = 9.6


def outside(measured: Results) -> None:
    measured["series"][0]["percentiles"][3]["high"] = 22.7


def back_in_time(measured: Results) -> None:
    measured["series"][0]["over_time"][1]["at_s"] = 0


def of_nothing(measured: Results) -> None:
    measured["beside"][2]["series"] = "the moon"


def other_dimension(measured: Results) -> None:
    measured["beside"][0]["unit"] = "pods/s"


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (unknown_condition, r"measured\.facts\.rates: \[1, 2\] is not of type 'string'"),
        (no_interval, r"percentiles\[0\]: 'low' is a required property"),
        (negative, r"series\[0\]\.min: -0\.1 is less than the minimum of 0"),
        (no_base64, r"histogram\.data: '<script>' does not match"),
        (no_unit, r"curve\.points\[0\]: 'throughput' does not match"),
        (named_twice, r"latency/create-to-bound: two series are '100 nodes, plain pods'"),
        (lost_samples, r"series '100 nodes, plain pods': its bins hold 1191 samples of 1200"),
        (no_mean, r"it has samples, but not mean, min and max"),
        (overlapping, r"its bins overlap or are out of order"),
        (falling, r"a higher percentile is of a lower value"),
        (outside, r"percentile 99 is outside of its confidence interval"),
        (back_in_time, r"its times are out of order"),
        (of_nothing, r"sli_duration_seconds is about 'the moon', which is none of"),
        (other_dimension, r"what is in 'pods/s' cannot be told in 'ms'"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_fault_of_a_measurement_is_one_clear_message(
    sample: Results, measured: Results, mutate: Callable[[Results], None], message: str
) -> None:
    mutate(measured)
    with pytest.raises(schema.InvalidResultsError, match=message) as refused:
        schema.validate(sample)
    assert len(str(refused.value)) < 500


def test_what_is_unsupported_has_measured_nothing(sample: Results, measured: Results) -> None:
    first(sample, "unsupported")["measured"] = measured
    with pytest.raises(schema.InvalidResultsError, match="is not of type 'null'"):
        schema.validate(sample)
