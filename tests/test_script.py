"""Steps are stored as they are done, and a replay yields the same without doing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.script import Script
from kubewitness.capture.reading import BrokenEvidence
from kubewitness.clusters.api import ApiError, Waited


def never() -> Any:
    raise AssertionError("a replay does nothing")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The steps of two scenes, interleaved; the second one's last step failed."""

    def refuse() -> None:
        raise ApiError("GET", "/api", 503, "not now")

    live = Script(tmp_path / "script.jsonl", replaying=False)
    assert live.step("one", "make", lambda: {"name": "x"}) == {"name": "x"}
    live.step("two", "make", lambda: None)
    live.step("one", "wait", lambda: 5)
    with pytest.raises(ApiError, match="503 not now"):
        live.step("two", "get", refuse)
    return tmp_path / "script.jsonl"


def test_what_is_done_is_stored_at_once(file: Path) -> None:
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"scene": "one", "what": "make", "result": {"name": "x"}},
        {"scene": "two", "what": "make", "result": None},
        {"scene": "one", "what": "wait", "result": 5},
        {"scene": "two", "what": "get", "error": "GET /api: 503 not now"},
    ]


def test_a_replay_yields_the_same_scene_by_scene(file: Path) -> None:
    replay = Script(file, replaying=True)
    assert replay.step("two", "make", never) is None
    assert [replay.step("one", what, never) for what in ("make", "wait")] == [{"name": "x"}, 5]


def test_a_stored_error_is_raised_again(file: Path) -> None:
    replay = Script(file, replaying=True)
    replay.step("two", "make", never)
    with pytest.raises(Waited, match="GET /api: 503 not now"):
        replay.step("two", "get", never)


def test_another_step_than_the_stored_one_is_refused(file: Path) -> None:
    with pytest.raises(BrokenEvidence, match="one should go on with 'delete', but found 'make'"):
        Script(file, replaying=True).step("one", "delete", never)


def test_steps_beyond_the_stored_ones_are_refused(file: Path) -> None:
    with pytest.raises(BrokenEvidence, match="three should go on with 'make', but its steps end before"):
        Script(file, replaying=True).step("three", "make", never)


@pytest.mark.parametrize("line", ['{"scene": "one", "wh', '{"what": "make"}', "[1]"])
def test_a_garbled_line_is_told_by_its_number(file: Path, line: str) -> None:
    with file.open("a") as stored:
        stored.write(line + "\n")
    with pytest.raises(BrokenEvidence, match=r"script\.jsonl, line 5 is garbled"):
        Script(file, replaying=True)
