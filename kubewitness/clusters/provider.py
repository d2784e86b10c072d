"""What every kind of cluster lets a test do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kubewitness.clusters.api import Api
from kubewitness.clusters.nodes import Nodes
from kubewitness.clusters.storage import Storage
from kubewitness.model.cluster import ClusterSpec
from kubewitness.model.history import CaptureStatistics

KUBECTL_S = 60.0


class Cluster(Protocol):
    """A cluster, as its provider gives it. What one cannot do, it answers by raising Refused."""

    spec: ClusterSpec
    api: Api

    def start(self) -> None:
        """Makes it ready; whatever fails, nothing is left behind but the evidence."""

    def stop(self) -> float:
        """Removes everything that was made for it, keeps the evidence. Returns seconds taken."""

    def facts(self) -> dict[str, Any]:
        """What the results tell of it: ``version``, ``start_s``, ``binaries``."""

    def snapshot(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The objects that it holds, for the evidence, by the paths of their collections."""

    def kubectl(self, arguments: Sequence[str], stdin: object = None, *, within_s: float = KUBECTL_S) -> str:
        """What kubectl prints, run as a client of the cluster."""

    def barrier(self, note: str) -> CaptureStatistics:
        """Returns when all that was said so far is captured; of a cluster that is not captured, nothing."""

    @property
    def nodes(self) -> Nodes:
        """Nodes that can join and leave."""

    @property
    def storage(self) -> Storage:
        """Servers of files and disks beside it."""

    def end(self, component: str) -> None:
        """Ends a component of the control plane at once."""

    def restart(self, component: str) -> None:
        """Starts one that was ended."""
