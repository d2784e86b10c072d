"""What a cluster is asked to be."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Setup(enum.StrEnum):
    INSECURE = "insecure"
    TLS = "tls"


class Topology(enum.StrEnum):
    MINIMAL = "minimal"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """``version`` is a minor (``1.37``) or an exact version (``1.37.2``).

    ``mounts`` names those of needs.MOUNTS that its ``nodes`` can mount.
    ``emulated`` nodes are beside ``nodes`` others: machines of their own, with a kernel that mounts more.
    """

    version: str
    provider: str
    setup: Setup
    topology: Topology
    nodes: int = 1
    mounts: tuple[str, ...] = ()
    emulated: int = field(default=0, kw_only=True)

    @property
    def all_nodes(self) -> range:
        """The numbers of its nodes; the emulated ones come last."""
        return range(1, self.nodes + self.emulated + 1)

    @property
    def label(self) -> str:
        return f"{self.setup}-{self.topology}"
