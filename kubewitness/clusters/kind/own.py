"""A container engine of the run's own: Debian's dockerd as one more process of the cluster's keeper.

It has namespaces, a data root, a socket and a control group that belong to the
run, so that its bridges, rules, mounts and containers end with the keeper, and
the host's own engine and its configuration are never touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kubewitness.assets import debian
from kubewitness.assets.store import Progress, Store, cache_root
from kubewitness.clusters import runs
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kept import PACKAGE_ROOT
from kubewitness.clusters.kind.client import Client
from kubewitness.clusters.kind.engine import DOCKERS_NAME, Archive, docker_node_options, started
from kubewitness.clusters.nodes import restricted
from kubewitness.model.cluster import EngineName

#: With the client, containerd and runc of the same release, which this one of Debian was made for.
PACKAGES = ("docker.io",)
NAMESPACE = "engine"
_START_S = 60.0
LOAD_S = 600.0
_CLAMP = Path(__file__).with_name("clamp.py")


@dataclass
class OwnEngine:
    """A dockerd that runs. It and its client come from ``tree`` (see programs)."""

    tree: Path
    directory: Path
    keeper: Keeper
    image: str
    runtime: str
    network = "kind"
    inside = True

    @classmethod
    def start(
        cls, tree: Path, run: runs.Run, keeper: Keeper, data_root: Path, image: str, *, restricted: bool
    ) -> OwnEngine:
        """``restricted``: root of this host lacks CAP_SYS_RESOURCE (see clamp)."""
        directory = run.directory / "engine"
        (directory / "bin").mkdir(parents=True)
        for name in debian.IPTABLES:
            (directory / "bin" / name).symlink_to(tree / "usr" / "sbin" / debian.XTABLES)
        engine = cls(tree, directory, keeper, image, "clamp" if restricted else "runc")
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
            argv += ["--add-runtime", f"clamp={engine._clamp()}", "--default-runtime", "clamp"]
        keeper.spawn("dockerd", argv, ns=NAMESPACE, env=engine.environment, notify=True)
        keeper.wait_ready("dockerd", _START_S)
        return engine

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @cached_property
    def client(self) -> Client:
        return Client(self.tree / "usr" / "bin" / "docker", self.environment)

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

    def _clamp(self) -> Path:
        script = self.directory / "bin" / "clamp"
        words = [sys.executable, "-I", "-S", str(_CLAMP), str(self.tree / "usr" / "sbin" / "runc")]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o755)
        return script

    def facts(self) -> dict[str, Any]:
        version = self.client.call("version", "--format={{.Server.Version}}").strip()
        return {"name": EngineName.OWN, "version": version, "runtime": self.runtime}

    def started(self) -> list[str]:
        return started(self.client, DOCKERS_NAME)

    def run(self, argv: Sequence[object], directory: Path, within_s: float) -> int:
        path = {"PYTHONPATH": os.pathsep.join([str(PACKAGE_ROOT), *filter(None, sys.path)])}
        env = self.environment | path
        self.keeper.spawn("kind", argv, ns=NAMESPACE, env=env, cwd=directory, stays=False)
        return self.keeper.wait_exit("kind", within_s)

    def node_options(self, _: str) -> list[str]:
        return docker_node_options()


def start(archive: Path, run: runs.Run, keeper: Keeper, progress: Progress) -> OwnEngine:
    """One that holds the node image of an archive."""
    image, limited = Archive.read(archive), restricted()
    tree = programs(progress)
    root = loaded(image, tree, run, keeper, progress, restricted=limited)
    link(root, run.directory / "engine-root")
    return OwnEngine.start(
        tree, run, keeper, run.directory / "engine-root", image.reference, restricted=limited
    )


def programs(progress: Progress) -> Path:
    """The directory with the engine's packages unpacked, as in a system of their own: cached, or made now."""

    def make(work: Path, entry: Path) -> None:
        debian.unpack(PACKAGES, entry / "tree", work / "apt", progress)

    return Store(cache_root()).directory("engine", PACKAGES, make, progress) / "tree"


def loaded(
    image: Archive, tree: Path, run: runs.Run, keeper: Keeper, progress: Progress, *, restricted: bool
) -> Path:
    """The cached data root of an engine that holds ``image``; an engine makes it if need be."""
    status = image.file.stat()

    def make(_: Path, entry: Path) -> None:
        progress("loading the node image into an engine, once for all clusters to come")
        engine = OwnEngine.start(tree, run, keeper, entry / "root", image.reference, restricted=restricted)
        engine.client.call("load", "--input", str(image.file), within_s=LOAD_S)
        keeper.dismiss("dockerd")
        keeper.signal("dockerd", signal.SIGTERM)
        keeper.wait_exit("dockerd", _START_S)
        shutil.rmtree(engine.directory)

    made_of = (tree.parent.name, str(image.file.absolute()), status.st_size, status.st_mtime_ns)
    return Store(cache_root()).directory("engine-root", made_of, make, progress) / "root"


def link(root: Path, target: Path) -> None:
    """A data root of a run's own: layers, which nobody writes to, are shared with ``root``."""
    subprocess.run(["cp", "--archive", "--link", root, target], check=True)
    for database in target.rglob("*.db"):
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)
