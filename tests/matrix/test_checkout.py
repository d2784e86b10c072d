"""Results are named by exactly what judged."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix.checkout import key


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@kubewitness.example"]
    command = ["git", *who, "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    (checkout / "ignored").write_text("a report")
    assert key(checkout) == git(checkout, "rev-parse", "--short=12", "HEAD")


def changed(checkout: Path) -> None:
    (checkout / "file").write_text("two")


def new(checkout: Path) -> None:
    (checkout / "new").write_text("two")


def gone(checkout: Path) -> None:
    (checkout / "file").unlink()


def linked(checkout: Path) -> None:
    (checkout / "link").symlink_to("nowhere")


def staged(checkout: Path) -> None:
    (checkout / "file").write_text("three")
    git(checkout, "add", "file")


def test_each_change_has_a_key_of_its_own_and_back_again(checkout: Path) -> None:
    clean = key(checkout)
    keys = {clean}
    changes: list[Callable[[Path], None]] = [changed, new, gone, linked, staged]
    for number, change in enumerate(changes):
        change(checkout)
        dirty = key(checkout)
        assert dirty.startswith(f"{clean}-dirty")
        assert dirty == key(checkout)
        keys.add(dirty)
        assert len(keys) == number + 2
    assert git(checkout, "diff", "--cached", "--name-only") == "file", "nothing but what the test staged"
    git(checkout, "reset", "-q", "--hard")
    git(checkout, "clean", "-q", "-f")
    assert key(checkout) == clean


def test_a_selection_of_behaviours_is_not_taken_for_all(checkout: Path) -> None:
    keys = {key(checkout, each) for each in ([], ["-k", "a"], ["-k", "b"], ["-k a"])}
    assert len(keys) == 4
    assert all(each.startswith(key(checkout)) for each in keys)


def test_no_checkout_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="results belong to a commit, and git does not tell that of"):
        key(tmp_path)
