"""Verdicts from what tests raise, and exit codes from verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubewitness.reporting import behaviours
from kubewitness.reporting.plugin import ROOT

MEASURED_SAMPLE = Path(__file__).with_name("measured.json")
CONFTEST = """
import pytest
pytest_plugins = ["kubewitness.reporting.plugin"]

@pytest.fixture(scope="session")
def stage(request):
    return request.param
"""
TEST = """
import json
from pathlib import Path

from kubewitness.clusters.errors import ClusterError, Refused
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.verdict import Broken, Inconclusive, Violation
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.measured import MEASURED

DOC = doc("concepts")

@behaviour(
    "area/{name}", says="It holds.", kind=Kind.REQUIRED, source=DOC, needs={needs!r}, since="{since}"
)
def test_{name}(stage, request):
    {body}
"""
BROKEN = "raise Broken((Violation('this', 'that'),))"
LACKING = "raise Inconclusive('packets were dropped')"


Run = Callable[..., tuple[int, str, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs made-up tests: the exit code, what was printed, and the results."""
    monkeypatch.setattr(behaviours, "_registered", {})
    (tmp_path / "conftest.py").write_text(CONFTEST)

    def judged(*tests: dict[str, Any], options: tuple[str, ...] = ()) -> tuple[int, str, dict[str, Any]]:
        for number, each in enumerate(tests):
            told = {"name": f"t{number}", "needs": set(), "since": "", **each}
            (tmp_path / f"{tmp_path.name}_{number}.py").write_text(TEST.format(**told))
        fixed = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
        where = ["--evidence", str(tmp_path / "out"), "--setup", "insecure", "--topology", "standard"]
        code = int(pytest.main([*fixed, *where, *options, str(tmp_path)]))
        printed, file = capsys.readouterr(), tmp_path / "out" / "results.json"
        return code, printed.out + printed.err, json.loads(file.read_text()) if file.exists() else {}

    return judged


@pytest.mark.parametrize(
    ("bodies", "code", "verdicts"),
    [
        (["pass"], 0, ["passed"]),
        ([BROKEN], 1, ["broken"]),
        ([LACKING], 4, ["inconclusive"]),
        (["raise ClusterError('it went away')"], 4, ["inconclusive"]),
        ([LACKING, BROKEN], 1, ["inconclusive", "broken"]),
        (["raise Refused('not allowed')", "pass"], 0, ["unsupported", "passed"]),
    ],
)
def test_the_worst_verdict_gives_the_exit_code(
    bodies: list[str], code: int, verdicts: list[str], run: Run
) -> None:
    found, printed, results = run(*({"body": each} for each in bodies))
    assert (found, [row["verdict"] for row in results["results"]]) == (code, verdicts), printed


def test_what_the_provider_refuses_is_named(run: Run) -> None:
    _, _, results = run({"body": "raise Refused('PATCH of a node')"})
    assert results["results"][0]["reason"] == "disruption (refused: PATCH of a node)"


def test_what_a_cluster_lacks_is_not_run(run: Run) -> None:
    code, _, results = run(
        {"body": "assert False", "needs": {"tls-keys"}}, {"body": "assert False", "since": "1.99"}
    )
    assert code == 0
    assert [row["verdict"] for row in results["results"]] == ["unsupported"] * 2
    assert [row["reason"] for row in results["results"]] == ["tls-keys", "Kubernetes 1.99 to …"]


def test_what_is_not_for_simulated_nodes_is_not_run_on_them(run: Run) -> None:
    code, _, results = run(
        {"body": "pass"}, {"body": "pass", "needs": {"simulated-nodes"}}, options=("--topology", "simulated")
    )
    verdicts = {(row["id"], row["cluster"]): row["reason"] or row["verdict"] for row in results["results"]}
    assert code == 0
    assert verdicts == {
        ("area/t0", "insecure-standard"): "passed",
        ("area/t0", "insecure-simulated"): "real-nodes",
        ("area/t1", "insecure-standard"): "simulated-nodes",
        ("area/t1", "insecure-simulated"): "passed",
    }
    assert [each["nodes"] for each in results["clusters"]] == [3, 0]


def test_a_broken_behaviour_says_what_and_how_to_judge_again(run: Run) -> None:
    _, printed, _ = run({"body": BROKEN})
    for said in ("area/t0 (required) is broken", "wanted: this", "saw:    that", "judge again: kubewitness"):
        assert said in printed


def test_what_a_test_measured_is_told_whatever_the_verdict(run: Run) -> None:
    measured = json.loads(MEASURED_SAMPLE.read_text())
    leave = f"request.node.stash[MEASURED] = json.loads(Path({str(MEASURED_SAMPLE)!r}).read_text())"
    _, _, results = run(
        {"body": leave},
        {"body": f"{leave}; {BROKEN}"},
        {"body": f"{leave}; raise Refused('no')"},
        {"body": "pass"},
    )
    found = [(row["verdict"], row.get("measured")) for row in results["results"]]
    assert found == [("passed", measured), ("broken", measured), ("unsupported", None), ("passed", None)]


def test_behaviours_are_selected_by_area_and_need(run: Run) -> None:
    tests: list[dict[str, Any]] = [{"body": "pass", "needs": {"real-nodes"}}, {"body": "pass"}]
    _, printed, results = run(*tests, options=("-m", "area and real_nodes"))
    assert [row["id"] for row in results["results"]] == ["area/t0"], printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--provider", "local", "--kubeconfig", "x"), "leave one out"),
        (("--kubeconfig", "/absent"), "kubeconfig /absent cannot be used: it does not exist"),
        (("--emulated-nodes", "-1"), "wanted is a number, 0 or more"),
        (
            ("--emulated-nodes", "1", "--kubeconfig", "x"),
            "--emulated-nodes: only the clusters of provider local",
        ),
        (
            ("--key-log", "--setup", "insecure"),
            "--key-log: only the clusters of provider local and setup tls",
        ),
        (("--provider", "kind", "--topology", "simulated"), "--topology simulated: provider kind makes"),
        (("--engine", "docker"), "--engine: only provider kind runs nodes in a container engine"),
        (("--image", "other=x"), "NAME one of witness, pause"),
        (("--replay", "/absent"), "--replay: /absent holds no results.json"),
    ],
)
def test_wrong_options_are_told_in_a_line(options: tuple[str, ...], said: str, run: Run) -> None:
    _, printed, results = run({"body": "pass"}, options=options)
    assert said in printed
    assert "Traceback" not in printed
    assert not results
