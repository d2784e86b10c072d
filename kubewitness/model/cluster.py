"""What a cluster is asked to be."""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass, field

from kubewitness.model.behaviour import parse_minor
from kubewitness.model.versions import serves_plaintext


class Provider(enum.StrEnum):
    """Who makes the cluster."""

    LOCAL = "local"  # processes on this host
    KIND = "kind"  # kind did: containers on this host
    EXISTING = "existing"  # somebody else did, and gave a kubeconfig


class EngineName(enum.StrEnum):
    """Whose container engine runs the nodes of a cluster of kind."""

    OWN = "own"  # one that the run starts for it
    DOCKER = "docker"  # this host's
    PODMAN = "podman"  # likewise


class Setup(enum.StrEnum):
    INSECURE = "insecure"
    TLS = "tls"


class InsecurePort(enum.StrEnum):
    """What serves plaintext on port 8080 of the control plane."""

    REAL = "real"  # the API server itself
    RELAY = "relay"  # one before it
    NONE = "none"


class Topology(enum.StrEnum):
    MINIMAL = "minimal"
    STANDARD = "standard"
    SIMULATED = "simulated"  # no real node, but any number of Node objects without one


#: The topologies of a run that names none.
USUAL_TOPOLOGIES = (Topology.MINIMAL, Topology.STANDARD)


def unique_name(engine: EngineName, setup: Setup) -> str:
    """Of a new cluster of kind, where others may have clusters, too; "" in an engine of its own."""
    return "" if engine is EngineName.OWN else f"kw-{setup}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """``version`` is a minor (``1.37``) or an exact version (``1.37.2``).

    ``mounts`` names those of needs.MOUNTS that its ``nodes`` can mount.
    ``emulated`` nodes are beside ``nodes`` others: machines of their own, with a kernel that mounts more.
    Of an existing cluster ``names`` are those of its nodes that any pod may
    run on, and ``disruption`` tells whether more of it may be changed than
    namespaces that were made for the run.
    With ``key_log`` the API server writes down the secrets of its TLS connections, which open the capture.
    Of the simulated topology ``simulated`` are the numbers of nodes at which it is measured.
    Of a cluster of kind ``engine`` runs the nodes. An engine that others use, too, knows it as ``named``.
    """

    version: str
    provider: Provider
    setup: Setup
    topology: Topology
    nodes: int = 1
    mounts: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=(), kw_only=True)
    disruption: bool = field(default=False, kw_only=True)
    emulated: int = field(default=0, kw_only=True)
    key_log: bool = field(default=False, kw_only=True)
    engine: EngineName = field(default=EngineName.OWN, kw_only=True)
    named: str = field(default="", kw_only=True)
    simulated: tuple[int, ...] = field(default=(), kw_only=True)

    @property
    def all_nodes(self) -> range:
        """The numbers of its nodes; the emulated ones come last."""
        return range(1, self.nodes + self.emulated + 1)

    @property
    def label(self) -> str:
        match self.provider:
            case Provider.EXISTING:
                return "existing"
            case Provider.KIND:
                return f"kind-{self.setup}"
            case _:
                return f"{self.setup}-{self.topology}"

    @property
    def kind_name(self) -> str:
        """Of the cluster, as kind knows it."""
        return self.named or f"kw-{self.setup}"

    @property
    def insecure_port(self) -> InsecurePort:
        if self.setup is not Setup.INSECURE:
            return InsecurePort.NONE
        return InsecurePort.REAL if serves_plaintext(parse_minor(self.version)) else InsecurePort.RELAY

    @property
    def node_names(self) -> tuple[str, ...]:
        if self.provider is Provider.KIND:  # which names its workers so
            return tuple(f"{self.kind_name}-worker{n if n > 1 else ''}" for n in range(1, self.nodes + 1))
        return self.names or tuple(f"node{number}" for number in range(1, self.nodes + 1))
