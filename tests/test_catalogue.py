"""The catalogue of planned behaviours, and the command that lists every behaviour."""

from __future__ import annotations

import argparse
import json
from collections import Counter

import pytest

from kubewitness import catalogue
from kubewitness.catalogue import command, planned
from kubewitness.model.behaviour import Behaviour, Kind, doc, parse_minor
from kubewitness.reporting.behaviours import implemented

JUDGED = Behaviour("made_up/pod-is-seen", "A pod is seen.", Kind.OBSERVED, doc("concepts/workloads/pods"))


def listing(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["behaviours", *arguments]))


@pytest.fixture
def one_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "implemented", lambda: (JUDGED,))


def test_no_row_is_lost_when_it_moves_into_the_suites() -> None:
    assert Counter(each.area for each in (*planned(), *implemented())) >= Counter(
        watch=10,
        pods=11,
        daemonsets=13,
        rollouts=9,
        networking=3,
        services=13,
        resources=14,
        volumes=27,
        downward=17,
        security=20,
        availability=9,
        latency=6,
    )


def test_an_id_names_one_behaviour_planned_or_implemented() -> None:
    ids = Counter(each.id for each in (*planned(), *implemented()))
    assert [name for name, times in ids.items() if times > 1] == []


def test_statements_are_unique_sentences_on_one_line() -> None:
    statements = [each.says for each in planned()]
    assert len(set(statements)) == len(statements)
    assert [says for says in statements if "\n" in says or not says[0].isupper()] == [
        says for says in statements if says.startswith("etcd ")
    ]


def test_ranges_are_versions_and_not_empty() -> None:
    bounded = [each for each in planned() if each.since and each.until]
    assert all(parse_minor(each.since) <= parse_minor(each.until) for each in bounded)
    gone = {each.id for each in (*planned(), *implemented()) if not each.holds_in((1, 37))}
    assert gone == {"volumes/rbd", "volumes/glusterfs"}


def test_every_source_has_a_title_and_only_the_article_has_no_page() -> None:
    assert all(each.source.title for each in planned())
    assert {each.kind for each in planned() if not each.source.url} <= {Kind.OBSERVED, Kind.MEASURED}


def test_every_explained_need_is_used() -> None:
    assert set(catalogue.needs()) == {need for each in planned() for need in each.needs}


@pytest.mark.usefixtures("one_judged")
def test_json_lists_judged_and_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing("--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(rows) == len(planned()) + 1
    assert rows["made_up/pod-is-seen"]["implemented"] is True
    assert rows["resources/pod-level-resources"] == {
        "id": "resources/pod-level-resources",
        "area": "resources",
        "says": "Resources given for the whole pod gate its scheduling and bound its containers together.",
        "kind": "required",
        "needs": [],
        "source": {
            "title": "Assign Pod-level CPU and memory resources",
            "url": "https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/",
        },
        "since": "1.34",
        "until": None,
        "implemented": False,
    }


@pytest.mark.usefixtures("one_judged")
def test_area_and_kind_select(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing("--json", "--area", "security", "--kind", "observed") == 0
    found = [row["id"] for row in json.loads(capsys.readouterr().out)]
    assert found == ["security/authorization-only-on-secure-port"]


@pytest.mark.usefixtures("one_judged")
def test_table_counts_and_marks(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing() == 0
    lines = capsys.readouterr().out.splitlines()
    assert "made_up  (1 judged, 0 planned)" in lines
    assert "  * made_up/pod-is-seen  [observed]" in lines
    assert "  - security/service-account-token  [required; since 1.20; needs controllers, tls]" in lines
    assert lines[-1] == f"{len(planned()) + 1} behaviours: 1 judged, {len(planned())} planned"


@pytest.mark.usefixtures("one_judged")
def test_an_unknown_area_is_one_clear_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing("--area", "podz") == 2
    assert "there is no area 'podz'; there are made_up, watch, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"needs": ["a-moon"]}, "'a-moon', which .needs. does not explain"),
        ({"source": "concepts/none"}, "'concepts/none' has no title"),
    ],
    ids=["need", "source"],
)
def test_an_unexplained_name_is_refused(row: dict[str, object], message: str) -> None:
    complete = {"id": "a/b", "says": "It is.", "kind": "required", "source": "article", **row}
    with pytest.raises(KeyError, match=message):
        catalogue._behaviour(complete, {"needs": {}, "pages": {}})
