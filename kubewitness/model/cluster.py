"""What a cluster is asked to be."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Setup(enum.StrEnum):
    INSECURE = "insecure"
    TLS = "tls"


class Topology(enum.StrEnum):
    MINIMAL = "minimal"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """``version`` is a minor (``1.37``) or an exact version (``1.37.2``).

    ``mounts`` names those of needs.MOUNTS that its nodes can mount.
    """

    version: str
    provider: str
    setup: Setup
    topology: Topology
    nodes: int = 1
    mounts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.setup}-{self.topology}"
