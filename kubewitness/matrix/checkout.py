"""What exactly was judged with: the commit, and what the checkout changes of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubewitness.clusters.errors import UsageError


def key(root: Path, arguments: Sequence[str] = ()) -> str:
    """Names the results of the checkout at ``root``, selected by these arguments of pytest.

    The commit; "-dirty" and a digest of all files if any differs from it, untracked ones included; "-only"
    and a digest if there are arguments, so that a part is not taken for the whole. UsageError if ``root`` is
    no checkout.
    """
    commit, committed = _git(root, "rev-parse", "--short=12", "HEAD"), _git(root, "rev-parse", "HEAD^{tree}")
    tree = _tree(root)
    dirty = f"-dirty{tree[:8]}" if tree != committed else ""
    only = f"-only{hashlib.sha256(repr(list(arguments)).encode()).hexdigest()[:8]}" if arguments else ""
    return f"{commit}{dirty}{only}"


def _tree(root: Path) -> str:
    """Git's digest of all files that are not ignored. Index and objects go elsewhere: nothing is staged."""
    with tempfile.TemporaryDirectory(prefix="kubewitness-") as scratch:
        objects, index = (root / _git(root, "rev-parse", "--git-path", each) for each in ("objects", "index"))
        # It knows which files are as they were, so this is fast. What is younger than it, it looks at.
        shutil.copy2(index, Path(scratch, "index"))
        environment = {
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git(root, "add", "--all", environment=environment)
        return _git(root, "write-tree", environment=environment)


def _git(root: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            env=os.environ | (environment or {}),
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise UsageError("results belong to a commit, and there is no git on PATH; install git") from None
    if done.returncode:
        raise UsageError(
            f"results belong to a commit, and git does not tell that of {root}: {done.stderr.strip()}"
        )
    return done.stdout.strip()
