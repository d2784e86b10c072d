"""The runs on this host: their directories, and the removal of whatever a killed one left.

A run's directory holds a lock that its keeper holds for as long as it lives.
Whoever can take that lock knows that the run is dead: its processes, mounts
and network namespaces went with the keeper (the kernel saw to that), so only
files, control groups, possibly the host's end of a virtual link, and what it
made in a container engine of the host's are left.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kind import leftovers

CGROUPS = Path("/sys/fs/cgroup")
LINK_PREFIX = "kw-"
#: Among the runs' directories, that of the logs of those which did not come up.
FAILED = "failed"
_FAILURES = 5
#: A node sees directories of its own here, so a run cannot live below one of them.
NODE_DIRECTORIES = ("/var/lib", "/var/log", "/run")


def own_directories(place: Path) -> list[tuple[Path, str]]:
    """New directories below ``place``, each with the one of the host's whose place it takes on a node."""
    own = [(place / target[1:].replace("/", "-"), target) for target in NODE_DIRECTORIES if target != "/run"]
    for source, _ in own:
        source.mkdir(parents=True)
    return own


def root() -> Path:
    """Where runs live: $KUBEWITNESS_STATE, else /var/tmp/kubewitness."""
    path = Path(os.environ.get("KUBEWITNESS_STATE", "/var/tmp/kubewitness")).absolute()  # noqa: S108 - owned by root, mode 700
    for taken in NODE_DIRECTORIES:
        if path.is_relative_to(taken):
            raise UsageError(
                f"KUBEWITNESS_STATE={path} lies below {taken}, which every node replaces by its own;"
                " choose another directory"
            )
    return path


@dataclass(frozen=True, slots=True)
class Run:
    """One cluster's place on this host."""

    id: str
    directory: Path

    @property
    def link(self) -> str:
        """The host's end of the link into the cluster."""
        return LINK_PREFIX + self.id

    @property
    def cgroup(self) -> str:
        """The control group, below each controller's root, that holds every pod of the run."""
        return f"kubewitness/{self.id}"

    @property
    def alive(self) -> bool:
        try:
            fd = os.open(self.directory / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def describe(self) -> dict[str, object]:
        """What ``up`` wrote about the cluster; empty for one that never came up."""
        path = self.directory / "cluster.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def remove(self) -> None:
        """Frees what the kernel did not free by itself. The run must be dead."""
        with _one_at_a_time():
            self.free()

    def free(self) -> None:
        """The same for one who holds the lock. Does nothing if another was as quick."""
        if not self.directory.is_dir():
            return
        leftovers.remove(self.directory)
        remove_link(self.link)
        for group in control_groups(self.cgroup):
            _remove_group(group)
            _remove_if_empty(group.parent)
        shutil.rmtree(self.directory)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def create(tell: Callable[[str], None] = _say) -> Run:
    """A new run with an empty directory. Removes first what dead runs left, and tells what it could not."""
    parent = root()
    # Six hexadecimal digits keep the link's name within the kernel's fifteen characters.
    run = Run(identity := secrets.token_hex(3), parent / identity)
    try:
        sweep(tell)
        with _one_at_a_time():
            run.directory.mkdir()
            (run.directory / "owner").write_text(_identity(os.getpid()))
    except OSError as error:
        raise ClusterError(f"cannot make {run.directory}: {error.strerror}; set KUBEWITNESS_STATE") from error
    return run


def all_runs() -> Iterator[Run]:
    parent = root()
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        if path.is_dir() and path.name != FAILED:
            yield Run(path.name, path)


def _owned(run: Run) -> bool:
    """Whether the process that made the run still lives: it will see to the run itself."""
    try:
        owner = (run.directory / "owner").read_text()
    except FileNotFoundError:
        return False  # it was killed while it made the run
    return owner == _identity(int(owner.split()[0]))


def _identity(pid: int) -> str:
    """A process's id and start time, which together are never used again; empty for one that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return ""
    return f"{pid} {stat.rpartition(')')[2].split()[19]}"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Runs come and go one after the other, however many processes make and remove them."""
    root().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep(tell: Callable[[str], None] = _say) -> list[str]:
    """Removes what dead runs left; returns a line for each thing removed.

    Of a run whose containers an engine does not let be removed it tells, and leaves it for the next time.
    """
    removed = []
    with _one_at_a_time():
        for run in all_runs():
            if not (run.alive or _owned(run)):
                what = f"run {run.id}: files, control groups, link{leftovers.told(run.directory)}"
                try:
                    run.free()
                except leftovers.NotRemoved as error:
                    tell(f"run {run.id}: {error}")
                else:
                    removed.append(what)
    return removed


def failure(run: Run) -> Path:
    """A new directory for the logs of a run that did not come up; the oldest of others are removed for it."""
    kept = root() / FAILED
    with _one_at_a_time():
        kept.mkdir(exist_ok=True)
        by_age = sorted(kept.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        for each in by_age[: max(0, len(by_age) - _FAILURES + 1)]:
            shutil.rmtree(each)
        made = kept / run.id
        made.mkdir(exist_ok=True)
    return made


def forget_failures() -> list[str]:
    """Removes the logs of all runs that did not come up; returns a line for each."""
    kept = root() / FAILED
    with _one_at_a_time():
        removed = (
            [f"logs of a start that failed: {each}" for each in sorted(kept.iterdir())]
            if kept.is_dir()
            else []
        )
        if removed:
            shutil.rmtree(kept)
    return removed


def stop(run: Run) -> None:
    """Ends a running cluster, whoever started it, and removes everything of it."""
    if run.alive:
        keeper = Keeper.join(run.directory)
        keeper.stop()
        with (run.directory / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given when the keeper is gone
    run.remove()


def remove_link(name: str) -> None:
    if Path("/sys/class/net", name).exists():
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def make_control_groups(relative: str) -> None:
    """Makes the group under every controller, ready to be a kubelet's root."""
    for group in control_groups(relative, existing=False):
        group.mkdir(parents=True, exist_ok=True)
        for each in reversed([group, *group.parents][: len(Path(relative).parts)]):
            _inherit_cpuset(each)


def _inherit_cpuset(group: Path) -> None:
    # Version 1 gives a new cpuset no processors at all; a child may hold processes only after it got some.
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        if file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())


def control_groups(relative: str, *, existing: bool = True) -> list[Path]:
    """The group under every controller, or those of them that there are."""
    if (CGROUPS / "cgroup.controllers").exists():  # version 2: one hierarchy
        found = [CGROUPS / relative]
    else:
        found = [
            controller / relative
            for controller in sorted(CGROUPS.iterdir())
            if controller.is_dir() and not controller.is_symlink() and (controller / "cgroup.procs").exists()
        ]
    return [each for each in found if each.is_dir()] if existing else found


def processes(relative: str) -> set[int]:
    """Those in a group or in any below it. Groups of containers come and go while they are looked at."""
    found: set[int] = set()
    for top in control_groups(relative):
        # Unlike a glob, a walk goes on where a directory is gone.
        for group, _, _ in os.walk(top):
            try:
                found.update(map(int, Path(group, "cgroup.procs").read_text().split()))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
    return found


def _remove_if_empty(group: Path) -> None:
    try:
        group.rmdir()
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):  # another run is in it
            raise


def _remove_group(group: Path) -> None:
    for child in group.iterdir():
        if child.is_dir():
            _remove_group(child)
    outlive((group / "cgroup.procs").read_text().split() if (group / "cgroup.procs").exists() else [])
    group.rmdir()


def outlive(pids: Iterable[str], within_s: float = 10.0) -> None:
    """Returns when these processes have ended.

    A keeper's lock is free as soon as it dies, but the kernel may still be ending its cluster's processes.
    """
    for pid in pids:
        try:
            ending = os.pidfd_open(int(pid))
        except ProcessLookupError:
            continue
        try:
            if not select.select([ending], [], [], within_s)[0]:
                raise ClusterError(
                    f"process {pid} of a run that is over does not end within {within_s:g} s;"
                    " end it, then run `kubewitness clean`"
                )
        finally:
            os.close(ending)
