"""Which cell runs next, how long it should take, and which names and durations there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kubewitness.assets.recipes import MINORS
from kubewitness.clusters.errors import UsageError
from kubewitness.matrix.cells import MATRIX, Cell, chosen
from kubewitness.matrix.planning import expected_s, next_cell, parse_duration
from kubewitness.matrix.store import CellResult

ROOT = Path(__file__).parents[2]
NEW, OLD, TLS = (Cell.parse(name) for name in ("local-1.37-tls", "local-1.29-tls", "local-1.36-insecure"))
KIND = Cell.parse("kind-1.37-tls")


def took(cell: Cell, duration_s: float, exit_code: int = 0) -> CellResult:
    return CellResult(cell, "abc", (), exit_code, "", "2026-11-24T01:00:00+00:00", "", duration_s)


def test_the_matrix_is_what_is_promised() -> None:
    assert len(MATRIX) == len({cell.name for cell in MATRIX}) == 28
    assert {cell.minor for cell in MATRIX if cell.provider == "local"} >= set(MINORS)
    assert [Cell.parse(cell.name) for cell in MATRIX] == list(MATRIX)


def test_tox_has_an_environment_for_each_cell() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tox", "list", "--no-desc", "-q", "-c", str(ROOT / "tox.ini")],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    names = {"local": "k8s", "kind": "kind"}
    assert {f"{names[cell.provider]}1{cell.number}-{cell.setup}" for cell in MATRIX} == {
        each for each in listed if each.startswith(("k8s", "kind"))
    }


def test_cells_are_chosen_in_the_order_of_the_matrix() -> None:
    assert chosen(None) == MATRIX
    assert chosen("local-1.29-tls, local-1.37-tls") == (NEW, OLD)


def test_an_unknown_cell_is_one_message() -> None:
    with pytest.raises(UsageError, match=r"no cell 'local-1\.38-tls'; `kubewitness nightly --list`"):
        chosen("local-1.37-tls,local-1.38-tls")


@pytest.mark.parametrize("name", ["local-1.37", "local-1.37.2-tls", "Local-1.37-tls", "local-1.37-tls "])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no cell, such as local-1\.37-tls"):
        Cell.parse(name)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3h", 10800), ("90m", 5400), ("5400s", 5400), ("1h30m", 5400), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "3 h", "h", "30m1h", "-3h", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wanted is a duration such as 3h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], None),
        ([took(NEW, 10), took(NEW, 20)], 20),
        ([took(OLD, 10), took(NEW, 20), took(OLD, 30)], 20),
        ([took(OLD, 30), took(TLS, 5)], 30),
        ([took(TLS, 5)], 5),
        ([took(KIND, 5)], None),
        ([took(NEW, 10), took(NEW, 1, exit_code=3)], 10),
        ([took(NEW, 10, exit_code=1)], 10),
    ],
    ids=[
        "nothing",
        "newest",
        "itself",
        "its-setup",
        "its-provider",
        "other-provider",
        "no-cluster",
        "broken",
    ],
)
def test_a_cell_takes_as_long_as_it_or_its_neighbour_did(
    earlier: list[CellResult], expected: float | None
) -> None:
    assert expected_s(NEW, earlier) == expected


def test_the_nearest_version_of_the_setup_is_the_neighbour() -> None:
    earlier = [took(OLD, 10), took(Cell.parse("local-1.36-tls"), 20), took(TLS, 30)]
    assert expected_s(NEW, earlier) == 20


def test_the_cell_begun_the_longest_ago_is_next() -> None:
    assert next_cell([NEW, OLD], {}, [], 100) == NEW
    assert next_cell([NEW, OLD], {NEW: 1.0}, [], 100) == OLD
    assert next_cell([NEW, OLD], {NEW: 2.0, OLD: 1.0}, [took(OLD, 10)], 100) == OLD
    assert next_cell([NEW, OLD], {NEW: 2.0, OLD: 3.0}, [took(OLD, 10)], 100) == NEW
    assert next_cell([], {}, [], 100) is None


def test_no_cell_is_begun_that_would_end_too_late() -> None:
    begun, earlier = {OLD: 1.0, NEW: 2.0, KIND: 3.0}, [took(OLD, 50), took(NEW, 10)]
    assert next_cell([NEW, OLD], begun, earlier, 50) == OLD
    assert next_cell([NEW, OLD], begun, earlier, 49) == NEW
    assert next_cell([NEW, OLD], begun, earlier, 9) is None
    assert next_cell([NEW, KIND], begun, earlier, 9) == KIND, "how long that takes is not known"
