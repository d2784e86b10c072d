"""The command `nightly`, with runs that only pretend: real processes, real signals, a real checkout."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix import nightly, store
from kubewitness.matrix.cells import Cell

CELLS = ("local-1.37-tls", "local-1.36-tls", "local-1.35-tls")
END = "import sys; print('kubewitness: so it is'); sys.exit({})"
#: Runs until it is interrupted, and says so.
STAY = """
import pathlib, signal, sys
try:
    {first}
    signal.pause()
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1], "results.json").write_text("half")
    print("interrupted")
    sys.exit(130)
"""
Night = Callable[..., int]


@pytest.fixture
def signals() -> Iterator[None]:
    """What the command does to signals is undone."""
    those = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in those]
    yield
    for each, handler in zip(those, before, strict=True):
        signal.signal(each, handler)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go: not into the checkout, which is made up."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "file").write_text("one")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@kubewitness.example"]
        subprocess.run(["git", *who, *command], cwd=checkout, check=True)
    monkeypatch.setattr(nightly, "ROOT", checkout)
    monkeypatch.setattr(nightly, "PLACE", tmp_path / "matrix")
    return tmp_path / "matrix"


@pytest.fixture
def night(place: Path, signals: None, monkeypatch: pytest.MonkeyPatch) -> Night:  # noqa: ARG001
    """One call of the command, in which each cell runs the script that is given for it."""

    def call(*scripts: str, options: tuple[str, ...] = ()) -> int:
        of = dict(zip(CELLS, scripts, strict=False))
        monkeypatch.setattr(
            nightly,
            "command",
            lambda cell, directory, _: [sys.executable, "-c", of[cell.name], str(directory)],
        )
        parser = argparse.ArgumentParser()
        nightly.add_parser(parser.add_subparsers())
        cells = ["--cells", ",".join(of)]
        return nightly.run(parser.parse_args(["nightly", *cells, *options]))

    return call


def kept(place: Path) -> dict[str, str]:
    """The cells that have a result, with how they ended."""
    return {each.cell.name: each.outcome for directory in place.glob("*") for each in store.stored(directory)}


def test_a_run_is_told_its_clusters_and_the_rest() -> None:
    found = nightly.command(Cell.parse("kind-1.36-insecure"), Path("there"), ["--suite", "pods"])
    assert found[1:] == [
        "-m", "kubewitness.cli", "run", "--provider", "kind", "--kube-version", "1.36", "--setup", "insecure",
        "--topology", "standard", "--evidence", "there", "--suite", "pods",
    ]  # fmt: skip


def test_all_passed_is_0_and_has_a_report(
    night: Night, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert night(*[END.format(0)] * 3) == 0
    assert kept(place) == dict.fromkeys(CELLS, "passed")
    (report,) = place.glob("*/matrix.html")
    assert capsys.readouterr().out.splitlines() == [str(report), "3 cells: 3 passed"]


def test_a_cell_that_fails_stops_no_other(
    night: Night, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert night(*(END.format(code) for code in (3, 1, 0))) == 3
    assert kept(place) == {CELLS[0]: "no cluster", CELLS[1]: "broken", CELLS[2]: "passed"}
    assert capsys.readouterr().out.splitlines()[1:] == [
        "3 cells: 1 passed, 1 broken, 1 no cluster",
        "  local-1.37-tls: no cluster: so it is",
        "  local-1.36-tls: broken",
    ]


def test_a_later_call_goes_on_with_what_has_no_result(night: Night, place: Path) -> None:
    assert night(END.format(1), "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", END.format(3)) == 3
    assert kept(place) == {CELLS[0]: "broken", CELLS[2]: "no cluster"}
    assert night(*[END.format(0)] * 3) == 3
    assert kept(place) == {CELLS[0]: "broken", CELLS[1]: "passed", CELLS[2]: "no cluster"}
    assert night(*[END.format(0)] * 3, options=("--again", "failed")) == 1
    assert kept(place) == {CELLS[0]: "broken", CELLS[1]: "passed", CELLS[2]: "passed"}


def test_other_arguments_have_results_of_their_own(night: Night, place: Path) -> None:
    assert night(END.format(0)) == 0
    assert night(END.format(1), options=("--", "--suite", "pods")) == 1
    assert sorted(each.outcome for one in place.glob("*") for each in store.stored(one)) == [
        "broken",
        "passed",
    ]
    assert night("raise AssertionError('it has a result')") == 0


def test_a_wrong_call_is_2_and_no_result(
    night: Night, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert night(END.format(0), END.format(2)) == 2
    assert kept(place) == {CELLS[0]: "passed"}
    assert "local-1.36-tls has no result: exit code 2: so it is" in capsys.readouterr().out


def test_the_time_limit_stops_what_runs_and_begins_no_more(
    night: Night, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert night(STAY.format(first="pass"), END.format(0), options=("--time-limit", "1s")) == 4
    assert kept(place) == {}
    assert not list(place.glob("*/*/results.json"))
    told = capsys.readouterr().out
    assert "local-1.37-tls has no result: stopped at the time limit after" in told
    assert "local-1.36-tls has no result: not begun: it would not have ended in time" in told


def test_a_cell_that_hangs_comes_last_in_the_next_night(
    night: Night, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(STAY.format(first="pass"), END.format(0), options=("--time-limit", "1s"))
    assert night(END.format(0), END.format(0)) == 0
    begun = [line.split()[1] for line in capsys.readouterr().err.splitlines() if " begins; " in line]
    assert begun == [CELLS[0], CELLS[1], CELLS[0]]
    assert kept(place) == dict.fromkeys(CELLS[:2], "passed")


def test_an_interrupt_reaches_every_run_and_is_waited_for(night: Night, place: Path) -> None:
    meet = f"fifo = {str(place.parent / 'fifo')!r}"
    os.mkfifo(place.parent / "fifo")
    last = f"import os; {meet}; open(fifo, 'w').close(); os.kill(os.getppid(), signal.SIGTERM)"
    with pytest.raises(KeyboardInterrupt):
        night(
            STAY.format(first=f"{meet}; open(fifo).close()"), STAY.format(first=last), options=("--jobs", "2")
        )
    assert kept(place) == {}
    logs = [(each.parent.name, each.read_text()) for each in place.glob("*/*/run.log")]
    assert sorted(logs) == [(CELLS[1], "interrupted\n"), (CELLS[0], "interrupted\n")]
    assert not list(place.glob("*/*/results.json"))


def test_results_of_a_checkout_that_changed_are_not_kept(night: Night, place: Path) -> None:
    with pytest.raises(UsageError, match="the checkout changed while its cells ran"):
        night("open('file', 'w').write('two')", END.format(0))
    assert kept(place) == {}


def test_one_call_at_a_time_is_at_work(night: Night, place: Path) -> None:
    assert night(END.format(0)) == 0
    (lock,) = place.glob("*/.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another call is at work on the matrix of this commit"):
            night(END.format(0), END.format(0))


def test_the_list_runs_nothing(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    night(END.format(1))
    capsys.readouterr()
    assert night("", "", options=("--list", "--json")) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["cell"], row["provider"], row["minor"], row["setup"], row["result"]) for row in rows] == [
        ("local-1.37-tls", "local", "1.37", "tls", "broken"),
        ("local-1.36-tls", "local", "1.36", "tls", None),
    ]
    assert all(row["expected_s"] >= 0 for row in rows)
    assert night("", "", options=("--list",)) == 0
    assert "  local-1.36-tls      no result     expected to take" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--jobs=0", "--jobs=two", "--time-limit=soon", "--again=all"])
def test_wrong_options_are_misuse(option: str, night: Night) -> None:
    with pytest.raises(SystemExit, match="2"):
        night("", options=(option,))


def test_json_goes_with_list(night: Night) -> None:
    with pytest.raises(UsageError, match="--json goes with --list"):
        night("", options=("--json",))
