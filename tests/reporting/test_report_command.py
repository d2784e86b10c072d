"""``kubewitness report``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.reporting import command


def report(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["report", *map(str, arguments)]))


@pytest.fixture
def folder(sample: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "results.json").write_text(json.dumps(sample), encoding="utf-8")
    return tmp_path


def test_a_runs_folder_gets_both_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(folder) == 0
    assert capsys.readouterr().out.split() == [str(folder / "report.html"), str(folder / "junit.xml")]
    assert (folder / "report.html").stat().st_size < 300_000


def test_out_names_another_folder(folder: Path) -> None:
    assert report(folder / "results.json", "--out", folder / "site" / "nightly") == 0
    assert {each.name for each in (folder / "site" / "nightly").iterdir()} == {"report.html", "junit.xml"}
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "Expecting property name"), ('{"schema": "x"}', "schema 'x'"), ("\udcff", "'utf-8' codec")],
    ids=["no-json", "other-schema", "no-text"],
)
def test_unreadable_results_are_one_message(
    folder: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "results.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert report(folder) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kubewitness: cannot read {folder / 'results.json'}: ")
    assert message in error
    assert not (folder / "report.html").exists()


def test_a_folder_without_results_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tmp_path) == 2
    assert "No such file" in capsys.readouterr().err
