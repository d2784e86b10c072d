"""JUnit XML, read back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

from kubewitness.reporting import junit

Results = dict[str, Any]


def written(results: Results, folder: Path) -> ET.Element:
    junit.write(results, folder / "junit.xml")
    return ET.parse(folder / "junit.xml").getroot()


def test_every_result_is_one_case_with_its_verdict(sample: Results, tmp_path: Path) -> None:
    root = written(sample, tmp_path)
    found = Counter(next((child.tag for child in case), "passed") for case in root.iter("testcase"))
    assert found == {"passed": 20, "skipped": 8, "failure": 1, "error": 1}


def test_a_suite_counts_its_cases(sample: Results, tmp_path: Path) -> None:
    suites = {suite.get("name"): suite for suite in written(sample, tmp_path)}
    counts = ("tests", "failures", "errors", "skipped")
    assert [suites["insecure-standard"].get(name) for name in counts] == ["10", "1", "1", "1"]
    assert [suites["tls-standard"].get(name) for name in counts] == ["10", "0", "0", "5"]


def test_a_case_is_named_by_behaviour_and_cluster(sample: Results, broken: Results, tmp_path: Path) -> None:
    failure = written(sample, tmp_path).find(".//failure/..")
    assert failure is not None
    assert failure.get("classname") == "ordering"
    assert failure.get("name") == "ordering/binding-follows-delivery[insecure-standard]"
    text = failure.findtext("failure") or ""
    assert broken["violations"][0]["wanted"] in text
    assert "(packets 4025, 4027)" in text
    assert broken["replay"] in text


def test_a_suite_tells_the_engine_of_its_cluster(sample: Results, tmp_path: Path) -> None:
    sample["clusters"][0]["engine"] = {
        "name": "podman", "version": "4.3", "runtime": "crun", "restricted": False,
    }  # fmt: skip
    found = written(sample, tmp_path).findall(".//property[@name='engine']")
    assert [each.get("value") for each in found] == ["podman 4.3, runtime crun"]


def test_a_skipped_case_names_the_need(sample: Results, tmp_path: Path) -> None:
    skipped = written(sample, tmp_path).findall(".//skipped")
    assert {each.get("message") for each in skipped} == {"readable-traffic", "tls", "controllers"}


def test_text_that_xml_cannot_hold_is_replaced(sample: Results, broken: Results, tmp_path: Path) -> None:
    broken["reason"] = "a\x00<b>&\x1b[31m"
    failure = written(sample, tmp_path).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "a\N{REPLACEMENT CHARACTER}<b>&\N{REPLACEMENT CHARACTER}[31m"
