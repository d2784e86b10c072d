"""The HTML report: whole, safe, and loading nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kubewitness.reporting import html

Results = dict[str, Any]
#: Elements without an end tag.
VOID = {"meta", "input", "wbr"}


class Page(HTMLParser):
    """What a browser would find: elements in order, text, scripts; complains of wrong nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None]


def rendered(results: Results, folder: Path) -> Page:
    html.render(results, folder / "report.html")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_elements_nest_and_ids_are_unique(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    assert page.open == []
    assert [name for name, times in Counter(page.values("id")).items() if times > 1] == []


def test_every_behaviour_and_judgement_has_its_place(sample: Results, tmp_path: Path) -> None:
    ids = set(rendered(sample, tmp_path).values("id"))
    for each in sample["results"]:
        assert {each["id"], f"{each['id']}@{each['cluster']}"} <= ids


def test_every_link_into_the_page_arrives(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    inner = {href[1:] for href in page.values("href") if href.startswith("#")}
    assert inner <= set(page.values("id"))
    assert len(inner) > len(sample["results"])


def test_nothing_is_loaded(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    assert {tag for tag, attrs in page.elements if "href" in attrs} == {"a"}
    assert {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "base"} == set()
    assert page.values("src") == []
    style = (tmp_path / "report.html").read_text(encoding="utf-8").split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_only_the_reports_own_script_may_run(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [value for value in page.values("content") if "default-src" in value]
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in policy


def test_what_the_cluster_said_is_text(sample: Results, broken: Results, tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    event = broken["timeline"]["events"][1]
    event["label"] = event["picked"] = attack
    event["detail"] = {attack: attack}
    broken["reason"] = broken["replay"] = broken["says"] = attack
    sample["run"]["command"].append(attack)
    page = rendered(sample, tmp_path)
    assert len(page.scripts) == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert sum(attack in text for text in page.texts) >= 4


def test_contradicting_packets_link_to_their_messages(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    place = "ordering/binding-follows-delivery@insecure-standard"
    marked = [attrs["id"] for _, attrs in page.elements if "contradicts" in (attrs.get("class") or "")]
    assert marked == [f"{place}/9", f"{place}/10"]
    assert {f"#{each}" for each in marked} <= set(page.values("href"))


def test_the_relay_and_the_real_port_are_told_apart(sample: Results, tmp_path: Path) -> None:
    sample["clusters"][0]["insecure_port"] = "real"
    texts = rendered(sample, tmp_path).texts
    assert "insecure port: the API server's own" in texts
    assert "insecure port: a relay before the API server" in texts
    assert "no insecure port" in texts


def test_emulated_nodes_are_told_where_there_are_any(sample: Results, tmp_path: Path) -> None:
    sample["clusters"][0]["emulated"] = 2
    told = [each for each in rendered(sample, tmp_path).texts if ", provider local" in each]
    assert [" and 2 emulated," in each for each in told] == [True, False, False]


def test_a_key_logging_build_is_told(sample: Results, tmp_path: Path) -> None:
    sample["clusters"][1]["visibility"] = "decrypted"
    assert any("key-logging build" in text for text in rendered(sample, tmp_path).texts)


def test_the_engine_of_a_cluster_of_kind_is_told(sample: Results, tmp_path: Path) -> None:
    own, hosts, _ = sample["clusters"]
    own["engine"] = {"name": "own", "version": "20.10", "runtime": "clamp", "restricted": True}
    hosts["engine"] = {"name": "podman", "version": "4.3", "runtime": "crun", "restricted": False}
    texts = rendered(sample, tmp_path).texts
    assert "engine: Docker of the run's own, 20.10" in texts
    assert "engine: this host's Podman, 4.3" in texts
    assert [each for each in texts if each.startswith("runtime:")] == ["runtime: clamp", "runtime: crun"]
    assert texts.count("nodes without CAP_SYS_RESOURCE") == 1


@pytest.mark.usefixtures("measured")
def test_what_was_measured_is_drawn_and_in_tables(sample: Results, tmp_path: Path) -> None:
    page = rendered(sample, tmp_path)
    assert page.open == []
    assert [name for name, times in Counter(page.values("id")).items() if times > 1] == []
    drawn = [attrs["aria-label"] or "" for _, attrs in page.elements if attrs.get("role") == "img"]
    assert [each.split()[0] for each in drawn] == ["Distribution"] * 4 + ["Course"] * 4 + [
        "create-to-bound"
    ] * 2
    assert all(not {"href", "src"} & attrs.keys() for tag, attrs in page.elements if tag in {"svg", "path"})
    cells = [text.strip() for text in page.texts]
    assert "6.18 / 22.8 ms" in cells, "the matrix tells the headline"
    for told in ("6.07 to 6.30", "at least 55.9", "in the bucket", "above it", "8 to 16", "above 128"):
        assert told in cells


def test_what_a_benchmark_said_is_text(sample: Results, measured: Results, tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    one, other = measured["series"][:2]
    measured["quantity"] = measured["definition"] = measured["unit"] = measured["curve"]["x"] = attack
    one["label"], one["facts"], measured["facts"] = attack, {attack: attack}, {"b": attack}
    other["facts"]["pods"] = attack
    measured["beside"][0] |= {"name": attack, "labels": attack, "unit": attack}
    measured["beside"] = measured["beside"][:1]
    measured["curve"]["points"][0][f"{attack} ({attack})"] = 1
    page = rendered(sample, tmp_path)
    assert len(page.scripts) == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert page.open == []


def test_a_measurement_without_samples_has_no_headline(
    sample: Results, measured: Results, tmp_path: Path
) -> None:
    empty: Results = {
        "count": 0,
        "mean": None,
        "min": None,
        "max": None,
        "percentiles": [],
        "bins": [],
        "over_time": [],
    }
    for each in measured["series"]:
        each.update(empty)
    measured["curve"] = None
    measured["beside"] = measured["beside"][:1]
    page = rendered(sample, tmp_path)
    assert "value" not in page.values("class")
    assert page.texts.count("no samples") == 4
    assert "not measured" in page.texts


def test_an_empty_run_is_no_success(sample: Results, tmp_path: Path) -> None:
    sample["results"], sample["clusters"] = [], []
    sample["run"]["summary"] = dict.fromkeys(sample["run"]["summary"], 0)
    assert any("Nothing was judged" in text for text in rendered(sample, tmp_path).texts)


def test_durations_read_well() -> None:
    assert [html.in_words(each) for each in (0.84, 6.518, 104.3)] == ["840 ms", "6.52 s", "1 min 44 s"]
