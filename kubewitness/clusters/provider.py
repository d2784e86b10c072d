"""What every kind of cluster lets a test do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kubewitness.clusters.api import Api
from kubewitness.clusters.storage import Storage
from kubewitness.model.cluster import ClusterSpec
from kubewitness.model.history import CaptureStatistics

KUBECTL_S = 60.0


class Hands(Protocol):
    """What can be done to the nodes of a cluster from outside of it. Nodes go by their names."""

    def add(self, taints: Sequence[Mapping[str, str]] = ()) -> str:
        """One more node, which registers itself with ``taints``. Returns its name when its kubelet runs."""

    def power_off(self, node: str) -> None:
        """Ends everything on a node at once, as if its power was cut; others only notice its silence."""

    def shut_down(self, node: str) -> None:
        """Ends a node's parts one after the other, each in its own way, and then what is left there."""

    def pause(self, node: str) -> None:
        """Stops every process on a node, pods included, until ``resume``. None of them is told."""

    def resume(self, node: str) -> None:
        """Lets a paused node go on where it was."""


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
    def load_kubeconfig(self) -> Path:
        """For a load, which has connections of its own: JSON, with the paths of certificates."""

    def metrics(self, component: str) -> str:
        """What kube-apiserver or kube-scheduler tells of itself, in Prometheus' text format."""

    @property
    def nodes(self) -> Hands:
        """Nodes that can join and leave."""

    @property
    def storage(self) -> Storage:
        """Servers of files and disks beside it."""

    def end(self, component: str) -> None:
        """Ends a component of the control plane at once."""

    def restart(self, component: str) -> None:
        """Starts one that was ended."""
