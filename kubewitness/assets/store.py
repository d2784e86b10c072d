"""The cache: one directory per binary or archive, written elsewhere and renamed into place when complete.

    <root>/<name>-<version>-<key>/<name>        the file
    <root>/<name>-<version>-<key>/asset.json    its metadata
    <root>/work/<bundle>/                       what is being made; belongs to who holds the lock
    <root>/locks/<bundle>.lock                  held while a bundle is made

Whatever lies in `work` while its lock is free was left by a process that died.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubewitness.assets.asset import Asset, AssetError, Origin

METADATA: Final = "asset.json"
Progress = Callable[[str], None]


def cache_root() -> Path:
    """KUBEWITNESS_CACHE, or kubewitness under XDG_CACHE_HOME, or under ~/.cache."""
    if chosen := os.environ.get("KUBEWITNESS_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "kubewitness"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def no_space(where: Path, what: str, needed_bytes: int) -> AssetError:
    """The error for a full file system. `needed_bytes` is what the whole step takes, as measured."""
    existing = next(path for path in (where, *where.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return AssetError(
        f"No space left while {what}: the file system that holds {existing} has {free / 1e9:.1f} GB free, "
        f"about {needed_bytes / 1e9:.1f} GB are needed. Free some space, or set KUBEWITNESS_CACHE "
        "(and GOCACHE and GOMODCACHE for a build) to a larger file system."
    )


@dataclass(frozen=True, slots=True)
class Store:
    """The cache in `root`."""

    root: Path

    def find(self, name: str, version: str, key: str) -> Asset | None:
        """The cached file, if it is whole: its size and time of change are those that were recorded."""
        folder = self._folder(name, version, key)
        try:
            metadata = json.loads((folder / METADATA).read_bytes())
            status = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        if [status.st_size, status.st_mtime_ns] != [metadata["size"], metadata["mtime_ns"]]:
            return None
        return Asset(name, folder / name, metadata["version"], Origin.CACHE, metadata["sha256"])

    def versions(self, names: tuple[str, ...]) -> set[str]:
        """The versions of which the cache holds any of these names."""
        folders = (folder.name for name in names for folder in self.root.glob(f"{name}-[0-9]*-*"))
        return {folder.rsplit("-", 2)[1] for folder in folders}

    def add(
        self, file: Path, name: str, version: str, key: str, *, origin: Origin, true_version: str
    ) -> Asset:
        """Move a finished file out of a work directory into the cache, in one step."""
        draft = file.parent / f"{name}.entry"
        draft.mkdir()
        target = file.rename(draft / name)
        status = target.stat()
        digest = sha256_of(target)
        metadata = {
            "name": name, "version": true_version, "first_origin": origin.value, "sha256": digest,
            "size": status.st_size, "mtime_ns": status.st_mtime_ns,
        }  # fmt: skip
        (draft / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
        folder = self._folder(name, version, key)
        if folder.exists():  # it was found damaged, or somebody would not be adding it again
            shutil.rmtree(folder)
        draft.rename(folder)
        return Asset(name, folder / name, true_version, origin, digest)

    @contextmanager
    def workplace(self, bundle: str, progress: Progress) -> Iterator[Path]:
        """An empty directory on the cache's file system, for one process at a time; removed at the end."""
        self._make_root()
        with self._locked(bundle, progress):
            folder = self.root / "work" / bundle
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def directory(
        self, name: str, made_of: object, make: Callable[[Path, Path], None], progress: Progress
    ) -> Path:
        """A directory <name>-<key> of the cache, whose key changes with what it is made of.

        If there is none, `make` fills the second of the empty directories that it is given; the first is for
        what it needs meanwhile.
        """
        entry = self.root / f"{name}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]}"
        if not entry.is_dir():
            with self.workplace(name, progress) as work:
                if not entry.is_dir():  # else another process made it while this one waited
                    (draft := work / "entry").mkdir()
                    make(work, draft)
                    draft.rename(entry)
        return entry

    def remove_leftovers(self) -> None:
        """Remove the work directories of processes that died."""
        for folder in self.root.glob("work/*"):
            with (self.root / "locks" / f"{folder.name}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, name: str, version: str, key: str) -> Path:
        return self.root / f"{name}-{version}-{key}"

    def _make_root(self) -> None:
        try:
            (self.root / "work").mkdir(parents=True, exist_ok=True)
            (self.root / "locks").mkdir(exist_ok=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise AssetError(
                f"The cache cannot be written: {error}. Set KUBEWITNESS_CACHE to a directory that can."
            ) from error

    @contextmanager
    def _locked(self, bundle: str, progress: Progress) -> Iterator[None]:
        with (self.root / "locks" / f"{bundle}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"{bundle}: another process is making it; waiting for {lock.name}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
