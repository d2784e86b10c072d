"""A container engine of this host's, Docker or Podman, which was there before the run and goes on after it.

What is made there bears the cluster's name, which no other cluster has: the
containers, by kind's label and their own names, and their network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kubewitness.assets.store import Progress
from kubewitness.clusters import runs
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.keeping import Process
from kubewitness.clusters.kept import PACKAGE_ROOT
from kubewitness.clusters.kind import leftovers
from kubewitness.clusters.kind.client import Client, Failed, bound
from kubewitness.clusters.kind.engine import (
    DOCKERS_NAME,
    Archive,
    docker_node_options,
    made_of,
    started,
)
from kubewitness.clusters.kind.own import LOAD_S
from kubewitness.model.cluster import ClusterSpec, EngineName

OR_OWN = "or use --engine own"


class Unusable(ClusterError):
    """An engine of this host's that cannot run the nodes: what was found, and what to do."""

    def __init__(self, name: str, found: str, advice: str) -> None:
        self.found = found
        self.advice = advice
        super().__init__(f"--engine {name}: {found}; {advice}")


@dataclass(frozen=True, slots=True)
class About:
    """What an engine tells of itself. ``runtime`` is the one that its containers are started by."""

    version: str
    runtime: str


@dataclass(frozen=True, slots=True)
class HostEngine:
    """Docker, unless its client is Podman's."""

    client: Client
    cluster: str
    image: str
    about: About
    inside = False

    @classmethod
    def prepare(cls, spec: ClusterSpec, archive: Path, run: runs.Run, progress: Progress) -> Self:
        """Gives it the node image of an archive, if it has not got it, and records that the run uses it."""
        found, image = client(spec.engine), Archive.read(archive)
        about = ask(found)
        leftovers.record(run.directory, found, spec.kind_name)
        return cls(found, spec.kind_name, load(found, image, progress), about)

    @property
    def network(self) -> str:
        return self.cluster

    def facts(self) -> dict[str, Any]:
        return {"name": self.client.name, "version": self.about.version, "runtime": self.about.runtime}

    def started(self) -> list[str]:
        return started(self.client, "{{.Name}}" if self.client.name == EngineName.PODMAN else DOCKERS_NAME)

    def run(self, argv: Sequence[object], directory: Path, within_s: float) -> int:
        """In the run's own namespaces, since Podman is an engine wherever it is called."""
        log = directory / "logs" / "kind.log"
        env = {
            **self.client.environment,
            "PYTHONPATH": os.pathsep.join([str(PACKAGE_ROOT), *filter(None, sys.path)]),
            "KIND_EXPERIMENTAL_PROVIDER": self.client.name,
            f"KIND_EXPERIMENTAL_{self.client.name.upper()}_NETWORK": self.network,
        }
        with log.open("wb") as output, leftovers.making(directory) as lock:
            made = subprocess.Popen(
                bound(argv), env=env, cwd=directory, stdin=subprocess.PIPE, stdout=output, stderr=output,
                start_new_session=True, pass_fds=[lock],
            )  # fmt: skip
        assert made.stdin is not None
        try:
            return made.wait(within_s)
        except subprocess.TimeoutExpired as error:
            words = Process("kind", made.pid, log).last_words()
            raise ClusterError(
                f"waited {within_s:g} s for kind to end; its log ends with:\n{words}"
            ) from error
        finally:
            made.stdin.close()
            made.wait()

    def node_options(self, node: str) -> list[str]:
        if self.client.name == EngineName.DOCKER:
            return docker_node_options()
        # A volume of Podman's own is mounted so that nothing there can be executed. Of the labels, only the
        # names can be looked for, so the node's is one, as kind has it.
        volume = self.client.call("volume", "create", f"--label={node}=true").strip()
        return [f"--volume={volume}:/var:suid,exec,dev", "--env=container=podman"]


def client(name: EngineName) -> Client:
    """The program that reaches the engine which its user has chosen, by the environment or by default."""
    environment = {key: os.environ[key] for key in leftovers.CHOOSING if key in os.environ}
    # Podman's network takes programs that a user's PATH may lack.
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    program = shutil.which(name, path=environment["PATH"])
    if program is None:
        raise Unusable(name, f"there is no {name} on PATH", f"install {name}, {OR_OWN}")
    return Client(Path(program), environment)


def ask(engine: Client) -> About:
    """Unusable if it cannot be reached, or is none that can run nodes which are captured."""
    told = _info(engine)
    if "host" in told:
        return _podman(engine, told)
    if "name=rootless" in (told.get("SecurityOptions") or ()):
        raise _rootless(engine)
    return About(told["ServerVersion"], told["DefaultRuntime"])


def _info(engine: Client) -> dict[str, Any]:
    asked = ("info", "--format=json") if engine.name == EngineName.PODMAN else ("info", "--format={{json .}}")
    try:
        told: dict[str, Any] = json.loads(engine.call(*asked))
        words = "; ".join(told.get("ServerErrors") or ())
    except Failed as error:
        told, words = {}, error.words
    except ValueError as error:
        told, words = {}, f"`{engine.name} info` tells no JSON: {error}"
    if words:
        where = engine.environment.get(
            "DOCKER_HOST" if engine.name == EngineName.DOCKER else "CONTAINER_HOST"
        )
        raise Unusable(
            engine.name, f"the engine {f'at {where} ' if where else ''}cannot be reached: {words}",
            f"start it, and see that `{engine.name} info` works, {OR_OWN}",
        )  # fmt: skip
    return told


def _podman(engine: Client, told: Mapping[str, Any]) -> About:
    if engine.name != EngineName.PODMAN:
        raise Unusable(engine.name, f"{engine.program} is Podman's", "use --engine podman")
    if told["host"].get("serviceIsRemote"):
        raise elsewhere(engine)
    if told["host"]["security"]["rootless"]:
        raise _rootless(engine)
    return About(told["version"]["Version"], told["host"]["ociRuntime"]["name"])


def _rootless(engine: Client) -> Unusable:
    return Unusable(
        engine.name, "the engine is rootless, so nodes lack rights, and their networks are not this host's",
        f"let it reach one that root runs, {OR_OWN}",
    )  # fmt: skip


def elsewhere(engine: Client) -> Unusable:
    variables = ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINER_CONNECTION")
    chosen = ", ".join(
        f"{each}={engine.environment[each]}" for each in variables if each in engine.environment
    )
    return Unusable(
        engine.name,
        f"the engine{f' ({chosen})' if chosen else ''} is not on this host, where its nodes' networks could"
        " be captured",
        f"run this on the host where it is, {OR_OWN}",
    )


def load(engine: Client, archive: Archive, progress: Progress) -> str:
    """What the engine calls the image of an archive, which it loads unless it has that very image."""
    if known := known_as(engine, archive):
        progress(f"this host's {engine.name} has the node image {known}")
        return known
    progress(f"this host's {engine.name} loads the node image {archive.reference}, and keeps it")
    engine.call("load", "--input", str(archive.file), within_s=LOAD_S)
    if not (known := known_as(engine, archive)):
        raise ClusterError(
            f"{engine.name} has loaded {archive.file}, but has no image {archive.reference} like the one"
            f" there; look at `{engine.name} images`"
        )
    return known


def known_as(engine: Client, archive: Archive) -> str:
    """The name that the engine has for the image, by its digest or its reference; "" if it has not got it.

    Whoever loads another one of the same version, with more in it or less, takes the name away from this
    one, which is given it again.
    """
    for wanted in (archive.digest, archive.reference):
        try:
            (found,) = json.loads(engine.call("image", "inspect", wanted))
        except Failed:
            continue  # it knows of no such image; if it fails for another reason, loading will, too
        if made_of(found["RootFS"]["Layers"], found["Config"]) != archive.made_of:
            continue
        for name in found["RepoTags"] or ():  # Podman's begin with a registry, be it `localhost`
            if f"/{name}".endswith(f"/{archive.reference}"):
                return str(name)
        if wanted == archive.digest:
            engine.call("tag", archive.digest, archive.reference)
    return ""
