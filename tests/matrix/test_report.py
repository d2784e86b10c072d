"""The matrix report: its columns, verdicts, changes over versions and differences, and its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix import page, report, store
from kubewitness.matrix.cells import MATRIX

PASSED = ("passed", "")
BROKEN = ("broken", "wanted this; saw that")
LATER = ("unsupported", "Kubernetes 1.31 to …")
BLIND = ("unsupported", "readable-traffic")
Make = Callable[..., Path]
MEASURED = Path(__file__).parents[1] / "reporting" / "measured.json"


def written(directories: list[Path], out: Path) -> dict[str, Any]:
    report.write_report(directories, out)
    found: dict[str, Any] = json.loads((out / "matrix.json").read_text())
    return found


def cells(of: dict[str, Any], name: str) -> dict[str, str]:
    """The verdicts of one behaviour by cell."""
    (behaviour,) = [each for each in of["behaviours"] if each["id"] == name]
    return {cell: found["verdict"] for cell, found in behaviour["cells"].items()}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(report._validator().schema)


def test_columns_are_series_in_the_order_of_versions(make_run: Make, tmp_path: Path) -> None:
    names = [
        "local-1.29-tls",
        "local-1.19-insecure",
        "kind-1.37-tls",
        "local-1.37-insecure",
        "local-1.19-tls",
    ]
    for name in names:
        make_run(name, {"pods/run": {"standard": PASSED}}, exit_code=0)
    found = written([tmp_path], tmp_path)
    assert [each["id"] for each in found["columns"]] == [
        "local-1.19-insecure", "local-1.37-insecure", "local-1.19-tls", "local-1.29-tls", "kind-1.37-tls",
    ]  # fmt: skip
    assert len(found["missing"]) == len(MATRIX) - 5
    assert found["columns"][0]["report"] == "local-1.19-insecure/report.html"
    assert found["columns"][0]["duration_s"] == 61.0


def test_of_topologies_the_worst_counts_and_unsupported_least(make_run: Make, tmp_path: Path) -> None:
    two = {
        "a/broken": {"minimal": PASSED, "standard": BROKEN},
        "a/once": {"minimal": ("unsupported", "two-nodes"), "standard": PASSED},
        "a/never": {
            "minimal": ("unsupported", "controllers, readable-traffic"),
            "standard": ("unsupported", "kernel:nfs, readable-traffic"),
        },
        "a/neither": {
            "minimal": ("unsupported", "controllers"),
            "standard": ("unsupported", "not-ready-node"),
        },
        "a/unsure": {"minimal": ("inconclusive", "lost, or late"), "standard": ("inconclusive", "late")},
    }
    found = written([make_run("local-1.37-tls", two)], tmp_path)
    by_name = {each["id"]: each["cells"]["local-1.37-tls"] for each in found["behaviours"]}
    assert {name: (each["verdict"], each["reason"]) for name, each in by_name.items()} == {
        "a/broken": BROKEN,
        "a/once": PASSED,
        "a/never": ("unsupported", "readable-traffic"),
        "a/neither": ("unsupported", "tls-minimal: controllers; tls-standard: not-ready-node"),
        "a/unsure": ("inconclusive", "tls-minimal: lost, or late; tls-standard: late"),
    }
    assert [by_name[name]["duration_s"] for name in ("a/broken", "a/once", "a/never")] == [3.0, 1.5, 0]
    assert found["columns"][0]["outcome"] == "broken"


def test_changes_are_told_by_first_version_of_each_series(make_run: Make, tmp_path: Path) -> None:
    of_minor = {"1.29": LATER, "1.30": LATER, "1.32": PASSED, "1.36": PASSED, "1.37": BROKEN}
    for minor, told in of_minor.items():
        make_run(f"local-{minor}-tls", {"a/b": {"standard": told}}, exit_code=0)
    make_run("local-1.31-tls", None, exit_code=3)
    make_run("kind-1.36-tls", {"a/b": {"standard": BROKEN}}, exit_code=1)
    (behaviour,) = written([tmp_path], tmp_path)["behaviours"]
    turns = [
        (
            each["provider"],
            each["last"],
            each["first"],
            tuple(each["was"].values()),
            tuple(each["is"].values()),
        )
        for each in behaviour["changes"]
    ]
    assert turns == [("local", "1.30", "1.32", LATER, PASSED), ("local", "1.36", "1.37", PASSED, BROKEN)]
    assert behaviour["median_s"] == 1.5


def test_differences_are_gathered_by_kind(make_run: Make, tmp_path: Path) -> None:
    for minor in ("1.36", "1.37"):
        make_run(f"local-{minor}-insecure", {"a/b": {"standard": PASSED}, "a/c": {"standard": PASSED}})
        make_run(f"local-{minor}-tls", {"a/b": {"standard": BLIND}, "a/c": {"standard": BLIND}})
    make_run("kind-1.37-tls", {"a/b": {"standard": BLIND}, "a/c": {"standard": BROKEN}})
    make_run("kind-1.34-insecure", {"a/b": {"standard": BROKEN}})
    found = written([tmp_path], tmp_path)["differences"]
    told = [
        (each["between"], each["of"], [tuple(side.values()) for side in each["sides"]], each["behaviours"])
        for each in found
    ]
    both = [{"id": name, "versions": ["1.36", "1.37"]} for name in ("a/b", "a/c")]
    one = [{"id": "a/c", "versions": ["1.37"]}]
    assert told == [
        ("providers", "tls", [("local", *BLIND), ("kind", "broken", "")], one),
        ("setups", "local", [("insecure", *PASSED), ("tls", *BLIND)], both),
    ]


def test_a_cell_without_a_cluster_says_why(make_run: Make, tmp_path: Path) -> None:
    make_run("local-1.37-tls", None, exit_code=3)
    (column,) = written([tmp_path], tmp_path)["columns"]
    assert (column["outcome"], column["message"]) == ("no cluster", "the API server did not come up")
    assert "the API server did not come up" in (tmp_path / "matrix.html").read_text()


def test_the_later_of_two_runs_counts(make_run: Make, tmp_path: Path) -> None:
    old = {"directory": "old", "finished": "2026-11-24T03:00:00Z"}
    new = {"directory": "new", "finished": "2026-11-24T04:00:00Z"}
    make_run("local-1.37-tls", {"a/b": {"standard": PASSED}}, **new)
    make_run("local-1.37-tls", {"a/b": {"standard": BROKEN}}, **old)
    found = written([tmp_path], tmp_path)
    assert cells(found, "a/b") == {"local-1.37-tls": "passed"}
    assert found["missing"] == [], "these runs belong to no matrix"


def test_a_cell_that_was_cut_off_is_none_of_its_matrix(make_run: Make, tmp_path: Path) -> None:
    make_run("local-1.37-tls", {"a/b": {"standard": PASSED}}, exit_code=0)
    make_run("local-1.36-tls", {"a/b": {"standard": PASSED}})
    (tmp_path / "latest").symlink_to("local-1.37-tls")
    assert [each["id"] for each in written([tmp_path], tmp_path)["columns"]] == ["local-1.37-tls"]


def test_reports_elsewhere_are_not_linked(make_run: Make, tmp_path: Path) -> None:
    run = make_run("local-1.37-tls", {"a/b": {"standard": PASSED}})
    assert written([run], tmp_path / "site")["columns"][0]["report"] is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other", "", "is neither a run's directory nor that of a matrix"),
        ("results.json", "{", "cannot be read: Expecting property name"),
        ("results.json", "{}", "cannot be read: these results are of schema None"),
        (
            "cell.json",
            '{"schema": "x"}',
            "is no cell's result: wanted is schema 'kubewitness.cell/v1'; remove it",
        ),
        ("cell.json", '{"schema": "kubewitness.cell/v1"}', "is no cell's result: wrong fields: 'cell'"),
    ],
    ids=["nothing", "no-json", "other-schema", "other-cell", "half-a-cell"],
)
def test_what_cannot_be_read_is_one_message(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        report.write_report([tmp_path], tmp_path)


class Page(HTMLParser):
    """The ids, and the links into and out of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.titles += [value for name, value in attrs if name == "title" and value]
        if tag == "a":
            self.links.add(told["href"] or "")
        assert tag not in {"img", "link", "iframe"}


def test_the_page_links_to_what_is_there(make_run: Make, tmp_path: Path) -> None:
    make_run("local-1.30-tls", {"a/b": {"standard": LATER}, "a/c": {"standard": PASSED}}, exit_code=0)
    make_run("local-1.31-tls", {"a/b": {"minimal": BLIND, "standard": PASSED}}, exit_code=0)
    written([tmp_path], tmp_path)
    text = (tmp_path / "matrix.html").read_text()
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert {each[1:] for each in found.links if each.startswith("#")} <= set(found.ids)
    assert "local-1.31-tls/report.html#a/b@tls-standard" in found.links
    assert "local 1.31 tls: passed in 1.50 s (in 1.30 unsupported)" in found.titles
    assert "local 1.30 tls: unsupported: Kubernetes 1.31 to …" in found.titles
    assert "local 1.31 tls: not judged" in found.titles
    assert "script-src 'sha256-" in text


def test_what_was_measured_is_told_in_its_cell(make_run: Make, tmp_path: Path) -> None:
    measured = json.loads(MEASURED.read_text())
    two = {"a/b": {"minimal": BLIND, "standard": PASSED}}
    make_run("local-1.36-tls", two, measured=measured)
    measured["series"][0]["percentiles"] = measured["series"][0]["percentiles"][:1]
    make_run("local-1.37-tls", two, measured=measured)
    (behaviour,) = written([tmp_path], tmp_path)["behaviours"]
    told = [cell["judgements"][1]["measured"] for cell in behaviour["cells"].values()]
    first = {"series": "100 nodes, plain pods", "unit": "ms", "p50": 6.179, "p99": 22.76}
    assert told == [first, {**first, "p99": None}]
    assert "measured" not in behaviour["cells"]["local-1.36-tls"]["judgements"][0]
    text = (tmp_path / "matrix.html").read_text()
    assert (
        '<span class="value">6.18</span><span class="value">22.8</span><span class="value unit">ms</span>'
        in text
    )
    assert '<span class="soft">6.18 / \N{EN DASH} ms</span>' in text
    title = "local 1.36 tls: passed in 1.50 s: p50 / p99 6.18 / 22.8 ms, 100 nodes, plain pods"
    assert title in Page(text).titles


def test_what_clusters_said_is_text(make_run: Make, tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script><img src=x>'
    make_run("local-1.37-tls", {"a/b": {"standard": ("broken", attack)}})
    written([tmp_path], tmp_path)
    text = (tmp_path / "matrix.html").read_text()
    Page(text)
    assert text.count("<script>") == 1


def test_versions_in_short() -> None:
    versions = ["1.29", "1.31", "1.30", "1.19", "1.36"]
    assert page.spans(versions) == "1.19, 1.29\N{EN DASH}1.31, 1.36"


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ("a\n!!! _pytest.outcomes.Exit: no\nroot !!!\n== 1 passed in 2s ==\n", "no root"),
        ("building\nkubewitness: this host lacks ip\n", "this host lacks ip"),
        (
            "ERROR: usage: pytest.main() [options]\npytest.main(): error: no such choice\n  ini\n",
            "no such choice",
        ),
        ("ERROR: file or directory not found: x\n\n", "file or directory not found: x"),
        ("Traceback\nOSError: gone\n", "OSError: gone"),
        ("", "it said nothing"),
    ],
)
def test_the_last_word_of_a_log(log: str, word: str) -> None:
    assert store.last_word(log) == word
