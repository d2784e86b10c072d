"""What a keeper tells of its processes is told on: those that have ended though nobody had them end."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.clusters.keeping import Keeper


class Cluster:
    """The keeper's side: answers each request, and tells of ends."""

    def __init__(self, directory: Path) -> None:
        (directory / "logs").mkdir()
        ours, theirs = socket.socketpair()
        self.keeper = Keeper(directory, ours, None)
        self._sock = theirs
        self._answers = 0

    def spawn(self, name: str, *, stays: bool = True) -> None:
        # Answers may be sent before they are asked for: the keeper numbers its requests from 1.
        self._answers += 1
        self._send({"id": self._answers, "pid": 40 + self._answers})
        self.keeper.spawn(name, ["/bin/it"], stays=stays)

    def end(self, name: str, status: int) -> None:
        self._send({"event": "exit", "name": name, "status": status})
        self.keeper.wait_exit(name, within_s=10)

    def _send(self, message: dict[str, object]) -> None:
        self._sock.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self._sock.close()
        self.keeper.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_a_process_that_ends_by_itself_is_told_with_its_last_words(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "logs" / "kube-proxy_node1.log").write_text("first\ntoo many open files\n")
    for name in ("etcd", "kube-proxy/node1"):
        cluster.spawn(name)
    assert cluster.keeper.died() == ""
    cluster.end("kube-proxy/node1", 1)
    assert cluster.keeper.died() == (
        "kube-proxy/node1 has ended by itself with status 1:\n    first\n    too many open files"
    )


def test_what_was_dismissed_or_never_was_to_stay_may_end(cluster: Cluster) -> None:
    cluster.spawn("kubectl", stays=False)
    cluster.spawn("kube-scheduler")
    cluster.keeper.dismiss("kube-scheduler")
    for name in ("kubectl", "kube-scheduler"):
        cluster.end(name, 0)
    assert cluster.keeper.died() == ""


def test_what_is_started_again_is_to_stay_again(cluster: Cluster) -> None:
    cluster.spawn("kube-scheduler")
    cluster.keeper.dismiss("kube-scheduler")
    cluster.end("kube-scheduler", -9)
    cluster.spawn("kube-scheduler")
    assert cluster.keeper.died() == ""
    cluster.end("kube-scheduler", 2)
    assert "kube-scheduler has ended by itself with status 2" in cluster.keeper.died()
