"""What a cluster of kind asks of the container engine that runs its nodes, whoever's engine that is."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubewitness.clusters.errors import UsageError
from kubewitness.clusters.kind.client import Client


class Engine(Protocol):
    """An engine that runs and has the node image."""

    @property
    def client(self) -> Client:
        """The program by which it is reached, of this host's namespaces."""

    @property
    def image(self) -> str:
        """The node image, as the engine calls it."""

    @property
    def network(self) -> str:
        """The network that kind makes for the nodes, or finds."""

    @property
    def inside(self) -> bool:
        """Whether it runs in the keeper's PID namespace, and so gives processes the keeper's numbers."""

    def facts(self) -> dict[str, Any]:
        """For the results: ``name``, ``version`` and ``runtime``."""

    def started(self) -> list[str]:
        """A command that goes on to print the name of each container that starts from now on."""

    def run(self, argv: Sequence[object], directory: Path, within_s: float) -> int:
        """Runs kind, under this name, where it reaches the engine, and returns its status.

        What it says goes into logs/kind.log below ``directory``, the run's.
        """

    def node_options(self, node: str) -> list[str]:
        """Of `run`, for a node that is made in the manner of kind."""


#: In an event, with Docker.
DOCKERS_NAME = "{{.Actor.Attributes.name}}"


def docker_node_options() -> list[str]:
    return [
        "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined", "--init=false",
        "--volume=/var",
    ]  # fmt: skip


def started(client: Client, name: str) -> list[str]:
    """See Engine; ``name`` is the template by which an event tells its container's name."""
    since = f"--since={int(time.time())}"  # the engine may begin to tell a moment later
    return client.command("events", "--filter=event=start", f"--format={name}", since)


@dataclass(frozen=True, slots=True)
class Archive:
    """An image's ``file``, the name by which it is saved there, its configuration and that one's digest."""

    file: Path
    reference: str
    digest: str
    made_of: object

    @classmethod
    def read(cls, file: Path) -> Archive:
        """Of an archive that `docker save` or we wrote."""
        try:
            with tarfile.open(file) as archive:
                manifest = json.load(archive.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
                content = json.load(archive.extractfile(manifest["Config"]))  # type: ignore[arg-type]
                digest = Path(manifest["Config"]).stem  # DIGEST.json, or blobs/sha256/DIGEST
                layers = content["rootfs"]["diff_ids"]
                return cls(file, manifest["RepoTags"][0], digest, made_of(layers, content["config"]))
        except (OSError, tarfile.TarError, LookupError, ValueError, TypeError) as error:
            raise UsageError(
                f"{file} is no archive of a named image ({error}); wanted is one as `docker save NAME` writes"
                " it"
            ) from error


def made_of(layers: Sequence[str], config: Mapping[str, Any]) -> object:
    """What two images have in common that are the same, by an archive or as an engine inspects them."""
    return [*layers], config.get("Entrypoint"), config.get("Env"), config.get("StopSignal")
