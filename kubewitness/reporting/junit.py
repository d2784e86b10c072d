"""JUnit XML, for CI systems that show test results."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubewitness.reporting.schema import Results

#: What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"broken": "failure", "inconclusive": "error", "unsupported": "skipped"}


def write(results: Results, out: Path) -> None:
    """Write ``out``: one test suite per cluster, one test case ``id[cluster]`` per result in class ``area``.

    Broken is a failure, inconclusive an error, unsupported skipped with the need as its message.
    """
    root = ET.Element("testsuites", name="kubewitness", time=_seconds(results["run"]["duration_s"]))
    for cluster in results["clusters"]:
        rows = [each for each in results["results"] if each["cluster"] == cluster["label"]]
        root.append(_suite(cluster, rows, results["run"]["started"]))
    ET.indent(root)
    ET.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)


def _suite(cluster: Mapping[str, Any], rows: list[Mapping[str, Any]], started: str) -> ET.Element:
    verdicts = Counter(each["verdict"] for each in rows)
    suite = ET.Element(
        "testsuite",
        name=cluster["label"],
        timestamp=started,
        tests=str(len(rows)),
        failures=str(verdicts["broken"]),
        errors=str(verdicts["inconclusive"]),
        skipped=str(verdicts["unsupported"]),
        time=_seconds(sum(each["duration_s"] for each in rows)),
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("version", "provider", "setup", "topology", "nodes", "insecure_port", "visibility"):
        ET.SubElement(properties, "property", name=name, value=str(cluster[name]))
    if engine := cluster.get("engine"):
        value = f"{engine['name']} {engine['version']}, runtime {engine['runtime']}"
        ET.SubElement(properties, "property", name="engine", value=value)
    suite.extend([_case(each) for each in rows])
    return suite


def _case(result: Mapping[str, Any]) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=result["area"],
        name=f"{result['id']}[{result['cluster']}]",
        time=_seconds(result["duration_s"]),
    )
    element = _ELEMENTS.get(result["verdict"])
    if element:
        outcome = ET.SubElement(case, element, type=result["verdict"], message=_printable(result["reason"]))
        outcome.text = _printable("\n".join(_explanation(result)))
    return case


def _explanation(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the CI's page needs: the statement, the violations, the way to look again."""
    lines = [f"{result['id']} ({result['kind']}): {result['says']}"]
    for each in result["violations"]:
        packets = f" (packets {', '.join(map(str, each['frames']))})" if each["frames"] else ""
        lines += [f"wanted: {each['wanted']}", f"saw: {each['seen']}{packets}"]
    if result["replay"]:
        lines.append(f"replay: {result['replay']}")
    return lines


def _printable(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.3f}"
