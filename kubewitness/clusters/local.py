"""Provider ``local``: the real components as processes of this host, in namespaces of their own."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewitness.assets import KEY_LOGGING_API_SERVER
from kubewitness.capture.reading import KEYS_FILE
from kubewitness.clusters import dns, images, network, runs
from kubewitness.clusters.api import Api, nodes
from kubewitness.clusters.components import Components
from kubewitness.clusters.emulated import Emulated
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kept import KeptCluster
from kubewitness.clusters.nodes import START_S, Nodes, is_ready
from kubewitness.clusters.storage import Storage
from kubewitness.model.cluster import InsecurePort, Topology


@dataclass
class LocalCluster(KeptCluster):
    """A running cluster of processes."""

    #: More of the API server's flags.
    apiserver_flags: tuple[str, ...] = ()

    @property
    def load_kubeconfig(self) -> Path:
        return self.kubeconfig

    def metrics(self, component: str) -> str:
        # By kubectl, which takes it compressed: megabytes of it would be most of a small capture.
        of_its_own = self.parts.serving_scheduler() if component == "kube-scheduler" else []
        return self.kubectl(["get", "--raw", "/metrics", *of_its_own])

    def end(self, component: str) -> None:
        assert self.keeper is not None
        self.keeper.dismiss(component)
        self.keeper.signal(component, signal.SIGKILL)
        self.keeper.wait_exit(component, 10.0)

    def restart(self, component: str) -> None:
        """Where none ran before, the controller manager is started by this, too."""
        assert self.keeper is not None
        command = {
            "kube-scheduler": self.parts.scheduler,
            "kube-controller-manager": self.parts.controller_manager,
            "kwok": self.parts.kwok,
        }[component]
        self.keeper.spawn(component, command(), ns="cp")

    def restart_scheduler(self, program: Path, delay: str, cycle_delay: str = "") -> None:
        """Puts a scheduler that waits, the asset DELAYED_SCHEDULER, in the place of the one that runs.

        ``delay`` (such as "20ms") is each pod's before it is bound, side by side with those of others;
        ``cycle_delay`` is in the scheduling cycle, of which there is one at a time. ``end`` and ``restart``
        bring the usual one back.
        """
        assert self.keeper is not None
        self.end("kube-scheduler")
        delays = {"KUBEWITNESS_DELAY": delay, "KUBEWITNESS_CYCLE_DELAY": cycle_delay}
        argv = self.parts.delayed_scheduler(program, in_cycle=bool(cycle_delay))
        self.keeper.spawn("kube-scheduler", argv, ns="cp", env=delays)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"client_limits": self.parts.client_limits()}

    def _start(self) -> None:
        directory = self.run.directory
        with ThreadPoolExecutor(max_workers=8) as pool:
            keeping = pool.submit(Keeper.start, directory)
            self.parts = Components.make(self.spec, directory, self.binaries, self.run.cgroup, self.inside)
            self.keeper = keeper = keeping.result()
            self.storage = Storage(directory / "storage", keeper)
            self.nodes = Nodes(self.spec, self.run, self.parts, self.assets, keeper)
            self.emulated = Emulated(self.spec, self.run, self.parts, self.assets, keeper)
            self._lay_network(keeper)
            addresses = {network.node_address(n): f"node{n}" for n in range(1, network.MOST_NODES + 1)}
            self._capture(keeper, network.INTERFACES, addresses)
            if self.spec.all_nodes:
                self.nodes.images_root = images.unpacked(self.assets, self.binaries, keeper, self.progress)
                self.emulated.start(self.nodes.images_root, self.progress)  # they take longest
            keeper.spawn("etcd", self.parts.etcd(), ns="cp", notify=True)
            keeper.spawn(
                "kube-apiserver",
                [*self.parts.apiserver(), *self.apiserver_flags],
                ns="cp",
                notify=True,
                env=self._log_keys(),
            )
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
            if self.nodes.first:
                self._mark("node_ready_s")
        if died := keeper.died():
            raise ClusterError(died)
        if self.spec.topology is Topology.STANDARD:
            dns.install(self.api, self.assets)
        if self.spec.emulated:
            self.emulated.wait(self.api)
            self._mark("emulated_ready_s")

    def _log_keys(self) -> dict[str, str]:
        """Puts the API server that logs its keys in the other's place; the environment that it takes."""
        if not self.spec.key_log:
            return {}
        program = self.binaries / "kube-apiserver"
        program.unlink()
        program.symlink_to(self.assets.path(KEY_LOGGING_API_SERVER))
        log = self.captured / KEYS_FILE
        log.touch(0o600)
        return {"SSLKEYLOGFILE": str(log)}

    def _lay_network(self, keeper: Keeper) -> None:
        directory = self.run.directory
        (directory / "resolv.conf").write_text("# no name server: nothing outside the cluster is reachable\n")
        # The host's daemons, whose sockets and files are there, are none of the cluster's business.
        own = runs.own_directories(directory / "cp")
        keeper.namespace("cp", binds=own, tmpfs=["/run"], sysctls={"net.ipv4.ip_forward": "1"})
        paths = {number: self.nodes.lay(number) for number in self.nodes.first}
        machines = self.emulated.lay()
        keeper.links("cp", [*network.control_plane_links(self.run.link, self.inside, paths | machines)])
        for number in paths:
            keeper.links(self.parts.node(number), [*network.node_links(number, self.spec.all_nodes)])
        for number in machines:
            keeper.links(self.parts.node(number), [*network.machine_links()])
        keeper.links("", self._link_host())

    def _start_control_loops(self, keeper: Keeper) -> None:
        keeper.spawn("kube-scheduler", self.parts.scheduler(), ns="cp")
        if self.spec.topology is Topology.SIMULATED:
            keeper.spawn("kwok", self.parts.kwok(), ns="cp")
        if self.spec.topology is not Topology.STANDARD:
            return
        keeper.spawn("kube-controller-manager", self.parts.controller_manager(), ns="cp")
        for number in self.nodes.first:
            self.nodes.start_proxy(number)

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
