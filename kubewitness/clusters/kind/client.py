"""The program by which a container engine is reached: `docker`, or `podman`, which is its own engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kubewitness.clusters.errors import ClusterError

CALL_S = 60.0
#: Of every container of a cluster, by kind. Its value is the cluster's name.
CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_BOUND = Path(__file__).with_name("bound.py")


def bound(argv: Sequence[object]) -> list[str]:
    """A command that ends, with all that it starts, when its standard input does, be it by the run's end.

    To be started in a session of its own, with a pipe.
    """
    return [sys.executable, "-I", "-S", str(_BOUND), *map(str, argv)]


class Failed(ClusterError):
    """A command of the engine's. ``words`` are its last ones."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(f"{message}: {words}")
        self.words = words


@dataclass(frozen=True, slots=True)
class Client:
    """``environment`` tells the program which engine to reach."""

    program: Path
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.program.name

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), *arguments]

    def call(
        self, *arguments: str, stdin: IO[bytes] | str | bytes | None = None, within_s: float = CALL_S
    ) -> str:
        """What the program prints. A status other than 0 is an error, with its last words."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"stdin": stdin}
        if isinstance(stdin, str | bytes):
            given = {"input": stdin.encode() if isinstance(stdin, str) else stdin}
        try:
            ended = subprocess.run(
                self.command(*arguments), **given, env=self.environment, capture_output=True,
                timeout=within_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"{self.name} {' '.join(arguments)} did not end within {within_s:g} s"
            ) from error
        if ended.returncode:
            words = ended.stderr.decode(errors="replace").strip()[-2000:]
            raise Failed(f"{self.name} {' '.join(arguments)} failed with {ended.returncode}", words)
        printed: bytes = ended.stdout
        return printed.decode(errors="replace")

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.call("container", "inspect", container))
        return found[0]

    def lines(self, *arguments: str) -> list[str]:
        """What it prints, but for empty lines."""
        return [line for line in self.call(*arguments).splitlines() if line]
