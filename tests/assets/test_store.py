"""Directories of the cache: made once of the same things, complete or not there."""

from pathlib import Path

import pytest

from kubewitness.assets.store import Store


def make(work: Path, entry: Path) -> None:
    assert list(work.iterdir()) == [entry]
    (work / "scratch").touch()
    (entry / "made").touch()


def refuse(_work: Path, entry: Path) -> None:
    (entry / "half").touch()
    raise OSError("broken off")


def never(_work: Path, _entry: Path) -> None:
    raise AssertionError("it is in the cache")


def test_a_directory_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = store.directory("disk", ("a", 1), make, pytest.fail)
    assert [each.name for each in made.iterdir()] == ["made"]
    assert store.directory("disk", ("a", 1), never, pytest.fail) == made
    assert not list((tmp_path / "work").iterdir())


def test_what_is_made_of_other_things_is_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.directory("disk", 1, make, pytest.fail) != store.directory("disk", 2, make, pytest.fail)


def test_what_was_broken_off_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(OSError, match="broken off"):
        store.directory("disk", 1, refuse, pytest.fail)
    assert not list(tmp_path.glob("disk-*"))
    assert not list((tmp_path / "work").iterdir())
