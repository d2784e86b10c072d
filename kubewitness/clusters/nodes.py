"""A local cluster's real nodes: each a kubelet, a containerd and a kube-proxy in namespaces of its own."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kubewitness.assets import Assets
from kubewitness.clusters import configuration, images, network, runs
from kubewitness.clusters.api import Object
from kubewitness.clusters.components import Components
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.keeping import Keeper
from kubewitness.model.cluster import ClusterSpec, Topology

_CAP_SYS_RESOURCE = 24
START_S = 90.0
_PARTS = ("kubelet", "kube-proxy", "containerd")
_LOOK_S = 0.01


@dataclass
class Nodes:
    """Numbered from 1 and named ``node1``…; those of the spec come first, others may join and leave.

    The numbers after ``first`` may be those of emulated nodes (see emulated.py).
    """

    spec: ClusterSpec
    run: runs.Run
    parts: Components
    assets: Assets
    keeper: Keeper
    _numbers: itertools.count[int] = field(init=False)
    images_root: Path | None = None
    _mounts: dict[str, str] = field(default_factory=dict)  # each node's mount namespace

    def __post_init__(self) -> None:
        self._numbers = itertools.count(self.spec.all_nodes.stop)

    @property
    def first(self) -> range:
        """The numbers of the spec's nodes."""
        return range(1, self.spec.nodes + 1)

    def lay(self, number: int) -> str:
        """Makes the namespaces; returns the network's path for `ip`."""
        own = runs.own_directories(self._directory(number))
        return self.keeper.namespace(
            self.parts.node(number), binds=own, tmpfs=["/run"], sysctls={"net.ipv4.ip_forward": "1"}
        )

    def start(self, number: int, taints: Sequence[Mapping[str, str]] = ()) -> None:
        """Starts containerd, and the kubelet as soon as it is ready."""
        assert self.images_root is not None, "images are unpacked before the first node starts"
        node, own = self.parts.node(number), self._directory(number)
        runs.make_control_groups(f"{self.run.cgroup}/{node}")
        pods = number if self.spec.topology is Topology.STANDARD else None
        toml = write_runtime(own, pods, self.parts, self.assets, restricted=restricted())
        images.link(self.images_root, own / "var-lib" / "containerd")
        path = {"PATH": f"{self.parts.binaries}:/usr/sbin:/usr/bin:/sbin:/bin"}
        runtime = f"containerd/{node}"
        containerd = [self.parts.binaries / "containerd", "--config", toml]
        process = self.keeper.spawn(runtime, containerd, ns=node, env=path, notify=True)
        self._mounts[node] = _mount_namespace(Path(f"/proc/{process.pid}"))
        self.keeper.wait_ready(runtime, START_S)
        kubelet = self.parts.kubelet(number, taints, mounts=self.spec.mounts)
        self.keeper.spawn(f"kubelet/{node}", kubelet, ns=node, env=path, notify=True)

    def start_proxy(self, number: int) -> None:
        node = self.parts.node(number)
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.keeper.spawn(f"kube-proxy/{node}", self.parts.proxy(number), ns=node, env=path)

    def add(self, taints: Sequence[Mapping[str, str]] = ()) -> str:
        """One more node, which registers itself with ``taints``. Returns its name when its kubelet runs."""
        number = next(self._numbers)
        node, path = self.parts.node(number), self.lay(number)
        self.keeper.links("cp", network.link_to_node(number, path))
        self.keeper.links(node, network.node_links(number, range(1, number)))
        for other in [*self.first, *range(self.spec.all_nodes.stop, number)]:  # emulated ones know the way
            self.keeper.links(self.parts.node(other), [network.route_to_pods(number)])
        self.start(number, taints)
        self.start_proxy(number)
        self.keeper.wait_ready(f"kubelet/{node}", START_S)
        return node

    def power_off(self, node: str) -> None:
        """Ends everything on a node at once, as if its power was cut; others only notice its silence."""
        parts = self._dismissed(node)
        self._cut_off(node)
        for part in parts:
            self.keeper.wait_exit(part, START_S)

    def shut_down(self, node: str) -> None:
        """Ends a node's parts one after the other, each in its own way, and then what is left there."""
        for part in self._dismissed(node):
            self.keeper.signal(part, signal.SIGTERM)
            self.keeper.wait_exit(part, START_S)
        self._cut_off(node)

    def _dismissed(self, node: str) -> list[str]:
        """The node's parts, which may end from now on."""
        parts = [f"{part}/{node}" for part in _PARTS]
        self.keeper.dismiss(*parts)
        return parts

    def pause(self, node: str) -> None:
        """Stops every process on a node, pods included, until ``resume``. None of them is told.

        The node's kernel goes on: it takes connections, which nobody serves. The freezer of control groups
        would do the same, but its first version lets nobody kill what is frozen: that would outlive the run.
        """
        stop_all(lambda: self._processes(node), node)

    def resume(self, node: str) -> None:
        """Lets a paused node go on where it was."""
        send(self._processes(node), signal.SIGCONT)

    def _cut_off(self, node: str) -> None:
        self.keeper.links("cp", [f"link set {network.port_of(node)} down"])
        send(self._processes(node), signal.SIGKILL)

    def _directory(self, number: int) -> Path:
        return self.run.directory / "nodes" / self.parts.node(number)

    def _processes(self, node: str) -> set[int]:
        """The node's own processes, by their mount namespace, and those of its pods, by control group."""
        found = {
            int(each.name)
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _mount_namespace(each) == self._mounts[node]
        }
        return found | runs.processes(f"{self.run.cgroup}/{node}")


def write_runtime(
    own: Path, pods: int | None, parts: Components, assets: Assets, *, restricted: bool
) -> Path:
    """Writes containerd's configuration, and that of its pods' network, into a node's directory; its file.

    ``pods`` is the number of a node whose pods have a network, and None where they have none.
    """
    cni = own / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    if pods is not None:
        configuration.write_json(cni / "10-kubewitness.conflist", configuration.pod_network(pods))
    pause = next(name for name in assets.images if "/pause" in name)
    toml = own / "containerd.toml"
    toml.write_text(configuration.containerd(parts.binaries, cni, pause, restricted=restricted))
    return toml


def is_ready(node: Object | None) -> bool:
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _mount_namespace(process: Path) -> str:
    try:
        return str((process / "ns" / "mnt").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended since, or is the host's
        return ""


def stop_all(find: Callable[[], set[int]], what: str) -> None:
    """Stops all processes that ``find`` finds, until it finds no others; none of them is told."""
    until = time.monotonic() + START_S
    stopped: set[int] = set()
    # What was seen stopped before a look can have started nothing that the look has missed.
    while awake := find() - stopped:
        if time.monotonic() > until:
            raise ClusterError(f"processes {sorted(awake)} on {what} cannot be stopped")
        send(awake, signal.SIGSTOP)
        time.sleep(_LOOK_S)
        stopped |= set(filter(_is_stopped, awake))


def send(pids: Iterable[int], sig: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended by itself since
            os.kill(pid, sig)


def _is_stopped(pid: int) -> bool:
    """Stopped, or ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "TZX"


def restricted(process: str = "self") -> bool:
    """Whether root of this host lacks CAP_SYS_RESOURCE: nobody may lower oom_score_adj or raise a limit.

    Of a ``process``, by its number: whether it lacks that.
    """
    status = Path("/proc", process, "status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return not int(effective, 16) >> _CAP_SYS_RESOURCE & 1
