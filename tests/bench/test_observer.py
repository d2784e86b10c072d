"""What it costs a cluster to be observed: bindings with and without the capture, clusters in turn."""

from __future__ import annotations

import http.client
import json
import os
import queue
import socket
import statistics
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from kubewitness.assets import ALL, resolve
from kubewitness.clusters.local import LocalCluster
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

_RATE = 50  # pods a second
_PODS, _BURST = 1000, 500
_NODE = {"metadata": {"name": "nobody"}}
_STATUS = {
    "allocatable": {"cpu": "1000", "memory": "1Ti", "pods": "100000"},
    "capacity": {"cpu": "1000", "memory": "1Ti", "pods": "100000"},
    "conditions": [{"type": "Ready", "status": "True"}],
}
_PODS_PATH = "/api/v1/namespaces/default/pods"


class Unobserved(LocalCluster):
    """The same, with nothing that captures or marks."""

    def _capture(self, *_: Any) -> None:
        """Nothing."""


class Client:
    """As little of one as there can be, on connections of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        (cluster,) = yaml.safe_load(kubeconfig.read_text())["clusters"]
        self._address = urlsplit(cluster["cluster"]["server"])
        self._own, self._watch = self._connect(), self._connect()

    def close(self) -> None:
        """The watch's thread ends with its connection."""
        self._own.close()
        if self._watch.sock:
            self._watch.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._watch.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(self._address.hostname), self._address.port)

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> None:
        headers = {"Content-Type": kind}
        self._own.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._own.getresponse()
        told = answer.read()
        assert answer.status < 300, told

    def bound(self) -> queue.Queue[tuple[str, float]]:
        """The name of each pod that is bound from now on, and when its event came."""
        came: queue.Queue[tuple[str, float]] = queue.Queue()
        self._watch.request("GET", f"{_PODS_PATH}?watch=1&fieldSelector=spec.nodeName%3Dnobody")
        answer = self._watch.getresponse()

        def follow() -> None:
            while line := answer.readline():
                now = time.perf_counter()
                event = json.loads(line)
                if event["type"] == "ADDED":
                    came.put((event["object"]["metadata"]["name"], now))

        self._thread = threading.Thread(target=follow, daemon=True)
        self._thread.start()
        return came


def pod(name: str) -> dict[str, Any]:
    spec = {
        "nodeSelector": {"only": "nobody"},
        "tolerations": [{"operator": "Exists"}],  # no controller takes the taint of a new node away
        "containers": [{"name": "main", "image": "none"}],
        "terminationGracePeriodSeconds": 0,
    }
    return {"metadata": {"name": name}, "spec": spec}


def measure(cluster: LocalCluster) -> tuple[list[float], float]:
    """Seconds from POST to the event of the binding, at a constant rate; and bindings a second in a burst."""
    with closing(Client(cluster.kubeconfig)) as client:
        return _measure(client)


def _measure(client: Client) -> tuple[list[float], float]:
    client.ask(
        "POST", "/api/v1/nodes", _NODE | {"metadata": {"name": "nobody", "labels": {"only": "nobody"}}}
    )
    merge = "application/merge-patch+json"
    client.ask("PATCH", "/api/v1/nodes/nobody/status", {"status": _STATUS}, merge)
    bound = client.bound()
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(_PODS):
        intended = began + number / _RATE
        time.sleep(max(0.0, intended - time.perf_counter()))
        sent[f"constant-{number}"] = intended
        client.ask("POST", _PODS_PATH, pod(f"constant-{number}"))
    took = [came - sent[name] for name, came in (bound.get(timeout=30) for _ in range(_PODS))]
    began = time.perf_counter()
    for number in range(_BURST):
        client.ask("POST", _PODS_PATH, pod(f"burst-{number}"))
    last = max(came for _, came in (bound.get(timeout=60) for _ in range(_BURST)))
    return took[_PODS // 10 :], _BURST / (last - began)


@pytest.mark.benchmark(group="being observed")
def test_what_being_observed_costs(benchmark: Any, pytestconfig: pytest.Config) -> None:
    """Told by extra_info: medians over clusters, and the same of unobserved ones against each other."""
    turns: int = pytestconfig.getoption("--clusters")
    if not turns or os.geteuid():
        pytest.skip("wanted root and --clusters N: that many with and without a capture, 30 s each")
    assets = resolve("1.37", [name for name in ALL if name != "kubeadm"], progress=print)
    spec = ClusterSpec(assets.kubernetes, Provider.LOCAL, Setup.INSECURE, Topology.MINIMAL)
    p99: dict[str, list[float]] = {}
    rate: dict[str, list[float]] = {}
    medians: dict[str, list[float]] = {}

    def all_in_turn() -> None:
        for turn in range(turns):
            order = [("none", Unobserved), ("capture", LocalCluster), ("none again", Unobserved)]
            for name, kind in order if turn % 2 else reversed(order):
                cluster = kind(spec, assets, None, lambda _: None)
                cluster.start()
                try:
                    took, burst = measure(cluster)
                finally:
                    cluster.stop()
                medians.setdefault(name, []).append(statistics.median(took))
                p99.setdefault(name, []).append(statistics.quantiles(took, n=100)[98])
                rate.setdefault(name, []).append(burst)

    benchmark.pedantic(all_in_turn, rounds=1)
    for what, found, unit in (
        ("median", medians, 1000),
        ("p99", p99, 1000),
        ("bindings/s", rate, 1),
    ):
        told = {name: statistics.median(values) for name, values in found.items()}
        benchmark.extra_info[what] = {name: round(value * unit, 2) for name, value in told.items()}
        benchmark.extra_info[f"{what} ratio"] = round(told["capture"] / told["none"], 3)
        benchmark.extra_info[f"{what} A/A"] = round(told["none again"] / told["none"], 3)
