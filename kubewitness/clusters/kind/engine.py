"""A container engine of the run's own: Debian's dockerd as one more process of the cluster's keeper.

It has namespaces, a data root, a socket and a control group that belong to the
run, so that its bridges, rules, mounts and containers end with the keeper, and
the host's own engine and its configuration are never touched.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from kubewitness.assets import debian
from kubewitness.assets.store import Progress, Store, cache_root
from kubewitness.clusters import runs
from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.clusters.keeping import Keeper

#: With the client, containerd and runc of the same release, which this one of Debian was made for.
PACKAGES = ("docker.io",)
NAMESPACE = "engine"
_START_S = 60.0
_LOAD_S = 600.0
_CLAMP = Path(__file__).with_name("clamp.py")


@dataclass
class Engine:
    """A dockerd that runs. ``docker`` is its client; both come from ``tree`` (see programs)."""

    tree: Path
    directory: Path
    keeper: Keeper

    @classmethod
    def start(cls, tree: Path, run: runs.Run, keeper: Keeper, data_root: Path, *, restricted: bool) -> Engine:
        """``restricted``: root of this host lacks CAP_SYS_RESOURCE (see clamp)."""
        directory = run.directory / "engine"
        (directory / "bin").mkdir(parents=True)
        for name in debian.IPTABLES:
            (directory / "bin" / name).symlink_to(tree / "usr" / "sbin" / debian.XTABLES)
        engine = cls(tree, directory, keeper)
        own = runs.own_directories(directory / "own")
        keeper.namespace(NAMESPACE, binds=own, tmpfs=["/run"], sysctls={"net.ipv4.ip_forward": "1"})
        keeper.links(NAMESPACE, ["link set lo up"])
        runs.make_control_groups(run.cgroup)
        argv: list[object] = [
            tree / "usr" / "sbin" / "dockerd", "--host", f"unix://{engine.socket}", "--data-root", data_root,
            "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--storage-driver", "overlay2",
            "--cgroup-parent", f"/{run.cgroup}", "--exec-opt", "native.cgroupdriver=cgroupfs",
        ]  # fmt: skip
        if restricted:
            argv += ["--add-runtime", f"clamp={engine._runtime()}", "--default-runtime", "clamp"]
        keeper.spawn("dockerd", argv, ns=NAMESPACE, env=engine.environment, notify=True)
        keeper.wait_ready("dockerd", _START_S)
        return engine

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @cached_property
    def environment(self) -> dict[str, str]:
        """For the engine's own programs and those that speak to it, such as kind."""
        usr = self.tree / "usr"
        places = [self.directory / "bin", usr / "sbin", usr / "bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return {
            "PATH": os.pathsep.join(map(str, places)),
            "LD_LIBRARY_PATH": str(next(usr.glob("lib/*-linux-gnu"))),
            "XTABLES_LIBDIR": str(next(usr.glob("lib/*/xtables"))),
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.directory / "client"),
        }

    def _runtime(self) -> Path:
        script = self.directory / "bin" / "clamp"
        words = [sys.executable, "-I", "-S", str(_CLAMP), str(self.tree / "usr" / "sbin" / "runc")]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o755)
        return script

    def command(self, *arguments: str) -> list[str]:
        return [str(self.tree / "usr" / "bin" / "docker"), *arguments]

    def docker(
        self, *arguments: str, stdin: IO[bytes] | str | None = None, within_s: float = _START_S
    ) -> str:
        """What the client prints. A status other than 0 is an error, with its last words."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"stdin": stdin}
        if isinstance(stdin, str):
            given = {"input": stdin.encode()}
        try:
            ended = subprocess.run(
                self.command(*arguments), **given, env=self.environment, capture_output=True,
                timeout=within_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"docker {' '.join(arguments)} did not end within {within_s:g} s") from error
        if ended.returncode:
            words = ended.stderr.decode(errors="replace").strip()[-2000:]
            raise ClusterError(f"docker {' '.join(arguments)} failed with {ended.returncode}: {words}")
        printed: bytes = ended.stdout
        return printed.decode(errors="replace")

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container))
        return found[0]


def programs(progress: Progress) -> Path:
    """The directory with the engine's packages unpacked, as in a system of their own: cached, or made now."""

    def make(work: Path, entry: Path) -> None:
        debian.unpack(PACKAGES, entry / "tree", work / "apt", progress)

    return Store(cache_root()).directory("engine", PACKAGES, make, progress) / "tree"


def loaded(
    image: Path, tree: Path, run: runs.Run, keeper: Keeper, progress: Progress, *, restricted: bool
) -> Path:
    """The cached data root of an engine that holds ``image``, an archive; an engine makes it if need be."""
    status = image.stat()

    def make(_: Path, entry: Path) -> None:
        progress("loading the node image into an engine, once for all clusters to come")
        engine = Engine.start(tree, run, keeper, entry / "root", restricted=restricted)
        engine.docker("load", "--input", str(image), within_s=_LOAD_S)
        keeper.dismiss("dockerd")
        keeper.signal("dockerd", signal.SIGTERM)
        keeper.wait_exit("dockerd", _START_S)
        shutil.rmtree(engine.directory)

    made_of = (tree.parent.name, str(image.absolute()), status.st_size, status.st_mtime_ns)
    return Store(cache_root()).directory("engine-root", made_of, make, progress) / "root"


def reference(image: Path) -> str:
    """The name of the image in an archive that `docker save` or we wrote."""
    try:
        with tarfile.open(image) as archive, archive.extractfile("manifest.json") as file:  # type: ignore[union-attr]
            return str(json.load(file)[0]["RepoTags"][0])
    except (OSError, tarfile.TarError, LookupError, ValueError, TypeError) as error:
        raise UsageError(
            f"{image} is no archive of a named image ({error}); wanted is one as `docker save NAME` writes it"
        ) from error


def link(root: Path, target: Path) -> None:
    """A data root of a run's own: layers, which nobody writes to, are shared with ``root``."""
    subprocess.run(["cp", "--archive", "--link", root, target], check=True)
    for database in target.rglob("*.db"):
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)
