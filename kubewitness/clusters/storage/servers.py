"""The servers of one cluster, by the kind of volume that they are for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.storage.ceph import Ceph
from kubewitness.clusters.storage.gluster import Gluster
from kubewitness.clusters.storage.iscsi import Iscsi
from kubewitness.clusters.storage.nfs import Nfs
from kubewitness.clusters.storage.server import Programs, Server

_KINDS: dict[str, Callable[[Programs], Server]] = {
    "nfs": Nfs,
    "iscsi": Iscsi,
    "rbd": Ceph,
    "glusterfs": Gluster,
}


class Storage:
    """Starts each server at its first use."""

    def __init__(self, directory: Path, keeper: Keeper) -> None:
        self._directory = directory.resolve()
        self._keeper = keeper
        self._up: dict[str, Server] = {}
        self._starting = {kind: threading.Lock() for kind in _KINDS}  # drives run side by side

    def server(self, kind: str) -> Server:
        """The server for volumes of a kind of needs.MOUNTS, as a pod's volumes name it."""
        with self._starting[kind]:
            if kind not in self._up:
                directory = self._directory / kind
                directory.mkdir(parents=True)
                self._up[kind] = _KINDS[kind](Programs(directory, self._keeper))
            return self._up[kind]
