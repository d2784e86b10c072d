"""A local cluster with simulated nodes, driven as the suites drive theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fixtures.loads import make_nodes, wait_for_scheduler
from fixtures.script import Script
from fixtures.stage import Stage
from kubewitness.assets import EXTRA, SIMULATED, resolve
from kubewitness.clusters import simulated
from kubewitness.clusters.local import LocalCluster
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.needs import TLS_KEYS
from suites.latency.pods import pod

VERSION = "1.37"
#: For all pods of all loads on a single node.
ROOM = {"cpu": "1000", "memory": "1Ti", "pods": "100000"}


@contextmanager
def staged(
    evidence: Path,
    setup: Setup,
    nodes: int,
    *,
    room: Mapping[str, str] = ROOM,
    flags: Sequence[str] = (),
    also: Sequence[str] = (),
    key_log: bool = False,
) -> Iterator[tuple[Stage, LocalCluster]]:
    """``room`` is each node's for pods, ``flags`` are more of the API server's, ``also`` names assets."""
    assets = resolve(VERSION, [*SIMULATED, *also, *(EXTRA[TLS_KEYS] if key_log else ())], progress=print)
    spec = ClusterSpec(assets.kubernetes, Provider.LOCAL, setup, Topology.SIMULATED, 0, key_log=key_log)
    cluster = LocalCluster(spec, assets, evidence, lambda _: None, apiserver_flags=tuple(flags))
    cluster.start()
    stage = Stage(spec, evidence, Script(evidence / "script.jsonl", replaying=False), cluster)
    try:
        make_nodes(stage.scene("nodes"), simulated.nodes(nodes, room=room))
        wait_for_scheduler(stage.scene("begins"), pod)
        yield stage, cluster
    finally:
        stage.reading.close()
        cluster.stop()
