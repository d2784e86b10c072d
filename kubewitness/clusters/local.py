"""Provider ``local``: the real components as processes of this host, in namespaces of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3.exceptions

from kubewitness.assets import Assets
from kubewitness.capture.barriers import barrier
from kubewitness.clusters import configuration, dns, images, network, objects, runs
from kubewitness.clusters.api import Api, ApiError, Object, nodes
from kubewitness.clusters.components import API_PORT, INSECURE_PORT, Components
from kubewitness.clusters.emulated import Emulated
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.forward import LOOPBACK
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.nodes import START_S, Nodes, is_ready
from kubewitness.clusters.provider import KUBECTL_S
from kubewitness.clusters.storage import Storage
from kubewitness.model.cluster import ClusterSpec, InsecurePort, Topology
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.verdict import Inconclusive

PACKAGE_ROOT = Path(__file__).parents[2]
_FORWARD = Path(__file__).with_name("forward.py")


@dataclass
class LocalCluster:
    """A running cluster. ``timings_s`` are seconds from the beginning of the start."""

    spec: ClusterSpec
    assets: Assets
    evidence: Path | None  # None: the run's own directory
    progress: Callable[[str], None]
    timings_s: dict[str, float] = field(default_factory=dict)
    #: Its process has one name, by which the capture knows it, and drives run side by side.
    _one_kubectl: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Brings everything up; whatever fails, nothing is left behind but the evidence."""
        self._began = time.monotonic()
        self.run = runs.create()
        self.keeper: Keeper | None = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> float:
        """Ends every process, keeps the logs as evidence, removes the rest. Returns seconds taken."""
        began = time.monotonic()
        if self.keeper is not None:
            runs.remove_link(self.run.link)
            self.keeper.close()
        logs = self.run.directory / "logs"
        if logs.is_dir() and self.evidence is not None:
            shutil.copytree(logs, self.evidence / "logs", dirs_exist_ok=True)
        self.run.remove()
        return time.monotonic() - began

    def publish(self, port: int) -> Path:
        """Makes the API server reachable on a port of the host's loopback; the kubeconfig for it."""
        assert self.keeper is not None
        server = INSECURE_PORT if self.parts.plain else API_PORT
        argv = [sys.executable, "-I", "-S", _FORWARD, port, self.inside, server]
        self.keeper.spawn("forward", argv, notify=True)
        self.keeper.wait_ready("forward", START_S)
        return self.parts.published(LOOPBACK, port)

    def facts(self) -> dict[str, Any]:
        return {
            "version": self.assets.kubernetes,
            "start_s": {key.removesuffix("_s"): value for key, value in self.timings_s.items()},
            "binaries": self.assets.facts(),
        }

    def snapshot(self) -> Mapping[str, Sequence[Object]]:
        return objects.snapshot(self.api)

    def kubectl(self, arguments: Sequence[str], stdin: object = None, *, within_s: float = KUBECTL_S) -> str:
        """Runs inside the control plane, as a client on its loopback."""
        assert self.keeper is not None
        given, printed = (self.run.directory / f"kubectl.{each}" for each in ("stdin", "stdout"))
        argv = [self.parts.binaries / "kubectl", "--kubeconfig", self.client_kubeconfig, *arguments]
        with self._one_kubectl:
            given.write_text(json.dumps(stdin))
            self.keeper.run("kubectl", argv, ns="cp", stdin=given, stdout=printed, within_s=within_s)
            return printed.read_text()

    def barrier(self, note: str) -> CaptureStatistics:
        assert self.keeper is not None
        if died := self.keeper.died():
            raise Inconclusive(f"the cluster is not what it was: {died}")
        return barrier(self.inside, note)

    def end(self, component: str) -> None:
        assert self.keeper is not None
        self.keeper.dismiss(component)
        self.keeper.signal(component, signal.SIGKILL)
        self.keeper.wait_exit(component, 10.0)

    def restart(self, component: str) -> None:
        assert self.keeper is not None
        command = {"kube-scheduler": self.parts.scheduler}[component]
        self.keeper.spawn(component, command(), ns="cp")

    def _mark(self, what: str) -> None:
        self.timings_s[what] = round(time.monotonic() - self._began, 3)
        reached = what.removesuffix("_s").replace("_", " ")
        self.progress(f"{self.spec.label}: {reached} after {self.timings_s[what]:.1f} s")

    def _start(self) -> None:
        directory = self.run.directory
        self.captured = self.evidence or directory / "evidence"
        self.captured.mkdir(parents=True, exist_ok=True)
        self.link_address, self.inside = network.free_link_addresses()
        with ThreadPoolExecutor(max_workers=8) as pool:
            keeping = pool.submit(Keeper.start, directory)
            binaries = self._link_binaries(directory / "bin")
            self.parts = Components.make(self.spec, directory, binaries, self.run.cgroup, self.inside)
            self.keeper = keeper = keeping.result()
            self.storage = Storage(directory / "storage", keeper)
            self.nodes = Nodes(self.spec, self.run, self.parts, self.assets, keeper)
            self.emulated = Emulated(self.spec, self.run, self.parts, self.assets, keeper)
            self._lay_network(keeper)
            self._capture(keeper)
            self.nodes.images_root = images.unpacked(self.assets, binaries, keeper, self.progress)
            self.emulated.start(self.nodes.images_root, self.progress)  # they take longest
            keeper.spawn("etcd", self.parts.etcd(), ns="cp", notify=True)
            keeper.spawn("kube-apiserver", self.parts.apiserver(), ns="cp", notify=True)
            starting_nodes = [pool.submit(self.nodes.start, number) for number in self.nodes.first]
            if self.spec.insecure_port is InsecurePort.RELAY:
                keeper.spawn("relay", self.parts.relay(), ns="cp")
            self.kubeconfig, self.client_kubeconfig = self.parts.admin(), self.parts.client()
            self.api = Api(self.kubeconfig)
            for name in ("etcd", "kube-apiserver"):
                keeper.wait_ready(name, START_S)
            self._wait_until_ready()
            self._mark("apiserver_ready_s")
            self._start_control_loops(keeper)
            for each in starting_nodes:
                each.result()
            list(pool.map(self.wait_for_node, map(self.parts.node, self.nodes.first)))
            self._mark("node_ready_s")
        if died := keeper.died():
            raise ClusterError(died)
        if self.spec.topology is Topology.STANDARD:
            dns.install(self.api, self.assets)
        if self.spec.emulated:
            self.emulated.wait(self.api)
            self._mark("emulated_ready_s")
        self._describe()

    def _link_binaries(self, directory: Path) -> Path:
        directory.mkdir()
        for name, asset in self.assets.binaries.items():
            (directory / name).symlink_to(asset.path)
        return directory

    def _lay_network(self, keeper: Keeper) -> None:
        directory = self.run.directory
        (directory / "resolv.conf").write_text("# no name server: nothing outside the cluster is reachable\n")
        # The host's daemons, whose sockets and files are there, are none of the cluster's business.
        own = runs.own_directories(directory / "cp")
        keeper.namespace("cp", binds=own, tmpfs=["/run"], sysctls={"net.ipv4.ip_forward": "1"})
        paths = {number: self.nodes.lay(number) for number in self.nodes.first}
        machines = self.emulated.lay()
        self.nodes.links("cp", [*network.control_plane_links(self.run.link, self.inside, paths | machines)])
        for number in paths:
            self.nodes.links(self.parts.node(number), [*network.node_links(number, self.spec.all_nodes)])
        for number in machines:
            self.nodes.links(self.parts.node(number), [*network.machine_links()])
        rules = directory / "marking.nft"
        rules.write_text(network.marking() + "\n")
        keeper.run("marking", [shutil.which("nft") or "/usr/sbin/nft", "-f", rules], ns="cp")
        link = self.run.link
        self.nodes.links("", [f"address add {self.link_address}/30 dev {link}", f"link set {link} up"])

    def _capture(self, keeper: Keeper) -> None:
        places = {
            "addresses": {self.link_address: "host"}
            | {network.node_address(n): f"node{n}" for n in range(1, network.MOST_NODES + 1)},
            "processes": {str(os.getpid()): "suite"},
        }
        path = {"PYTHONPATH": os.pathsep.join([str(PACKAGE_ROOT), *filter(None, sys.path)])}
        programs: list[tuple[str, str, list[str | Path], str]] = [
            ("sockets", "kubewitness.capture.sockets",
             [self.captured / "sockets.jsonl", self.run.directory, json.dumps(places)], "openings"),
            ("capture", "kubewitness.capture.daemon", [self.captured / "capture.pcapng"], "everything"),
        ]  # fmt: skip
        for name, module, arguments, only in programs:
            keeper.spawn(
                name, [sys.executable, "-m", module, *arguments], ns="cp", env=path,
                capture={"ns": "cp", "interfaces": list(network.INTERFACES), "only": only},
            )  # fmt: skip

    def _start_control_loops(self, keeper: Keeper) -> None:
        keeper.spawn("kube-scheduler", self.parts.scheduler(), ns="cp")
        if self.spec.topology is Topology.MINIMAL:
            return
        keeper.spawn("kube-controller-manager", self.parts.controller_manager(), ns="cp")
        for number in self.nodes.first:
            self.nodes.start_proxy(number)

    def _wait_until_ready(self) -> None:
        """From "serving" to "ready" there is no event to wait for, only /readyz to ask."""
        deadline = time.monotonic() + START_S
        last: Exception | None = None
        while time.monotonic() < deadline:
            try:
                self.api.get("/readyz")
                return
            except (ApiError, urllib3.exceptions.HTTPError) as error:
                last = error
            time.sleep(0.02)
        raise ClusterError(f"the API server serves but was not ready within {START_S:g} s: {last}")

    def wait_for_node(self, node: str) -> None:
        """Until it is Ready, or where no node ever is, registered."""
        ready = self.spec.topology is Topology.STANDARD
        self.api.wait(
            nodes(),
            node,
            is_ready if ready else lambda found: found is not None,
            within_s=START_S,
            what=f"{node} to be {'Ready' if ready else 'registered'}",
        )

    def _describe(self) -> None:
        configuration.write_json(
            self.run.directory / "cluster.json",
            {
                "id": self.run.id,
                "version": self.assets.kubernetes,
                "setup": self.spec.setup,
                "topology": self.spec.topology,
                "nodes": self.spec.nodes,
                "emulated": self.spec.emulated,
                "kubeconfig": str(self.kubeconfig),
            },
        )
