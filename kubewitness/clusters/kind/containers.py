"""The nodes of a kind cluster: containers of an engine, each with a systemd, a containerd and a kubelet."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubewitness.capture.sockets import program_of
from kubewitness.clusters import runs
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kind.client import CLUSTER_LABEL
from kubewitness.clusters.kind.engine import Engine
from kubewitness.clusters.nodes import restricted, send, stop_all

_KUBEADM = "/kind/kubeadm.conf"
_JOIN_S = 180.0
_SYSTEM = "Multi-User System"  # what systemd calls multi-user.target, which kind waits for, too
_END_S = 30.0
_IMPORT_S = 300.0
_POD_LOGS = "/var/log/pods"
_PLAIN = "/etc/kubernetes/plain.conf"
_DROP_IN = "/etc/systemd/system/kubelet.service.d/20-plain.conf"  # after kubeadm's, whose number is 10


@dataclass
class Containers:
    """By the names of their nodes. Those of ``first`` are the cluster's own; others may join and leave."""

    engine: Engine
    keeper: Keeper
    cluster: str
    images: Mapping[str, Path]  # archives of what each node is to have, by reference
    plain: Path | None = None  # the kubeconfig of kubelets that speak plaintext; None: kubeadm's own
    _pids: dict[str, int] = field(default_factory=dict)  # of their first processes, as the host counts
    _groups: dict[str, str] = field(default_factory=dict)
    _joined: int = 0

    def adopt(self, node: str, namespace: str) -> None:
        """Lets the keeper call a running container's network ``namespace``."""
        found = self.engine.client.inspect(node)
        pid = self.keeper.adopt(
            namespace, found["State"]["Pid"], self._address(found), node, inside=self.engine.inside
        )
        self._pids[node] = pid
        self._groups[node] = control_group(Path("/proc", str(pid)), found["Id"])
        if pid not in self.processes(node):
            raise ClusterError(
                f"the control group of {node} is not below {runs.CGROUPS}, but {self._groups[node]!r}: its"
                " processes could not be paused; run this where the host's control groups are mounted"
            )

    def restricted(self, node: str) -> bool:
        """Whether a node lacks CAP_SYS_RESOURCE."""
        return restricted(str(self._pids[node]))

    def address(self, node: str) -> str:
        return self._address(self.engine.client.inspect(node))

    def _address(self, inspected: Mapping[str, Any]) -> str:
        return str(inspected["NetworkSettings"]["Networks"][self.engine.network]["IPAddress"])

    def execute(self, node: str, *command: str, within_s: float = _END_S, **more: Any) -> str:
        """What a command inside of a node prints."""
        options = ("--interactive",) if more else ()
        return self.engine.client.call("exec", *options, node, *command, within_s=within_s, **more)

    def load_images(self, nodes: Sequence[str]) -> None:
        """Imports the archives into the nodes' containerd, side by side."""
        with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
            list(pool.map(self._load_images, nodes))

    def _load_images(self, node: str) -> None:
        listed = self.execute(node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet").split()
        for archive in {archive for reference, archive in self.images.items() if reference not in listed}:
            with archive.open("rb") as file:
                self.execute(
                    node, "ctr", "--namespace", "k8s.io", "images", "import", "-", stdin=file,
                    within_s=_IMPORT_S,
                )  # fmt: skip

    def write(self, node: str, path: str, content: str) -> None:
        self.execute(node, "sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}", stdin=content)

    def speak_plainly(self, node: str) -> None:
        """Lets the kubelet speak by ``plain``. Kubeadm's way to start it asks for a certificate."""
        assert self.plain is not None
        self.write(node, _PLAIN, self.plain.read_text())
        setting = f"KUBELET_KUBECONFIG_ARGS=--kubeconfig={_PLAIN}"
        self.write(node, _DROP_IN, f'[Service]\nEnvironment="{setting}"\n')
        self.execute(node, "systemctl", "daemon-reload")
        self.execute(node, "systemctl", "restart", "kubelet")

    def kill(self, node: str, program: str) -> None:
        """Ends the processes of a program on a node, if there are any, at once."""
        named = (pid for pid in self.processes(node) if program_of(Path("/proc", str(pid))) == program)
        send(named, signal.SIGKILL)

    def add(self, taints: Sequence[Mapping[str, str]] = ()) -> str:
        """One more node, made and joined in the manner of kind. Returns its name when it has joined."""
        self._joined += 1
        node, model = f"{self.cluster}-joined{self._joined}", f"{self.cluster}-worker"
        pattern = self.engine.client.inspect(model)
        labels = [f"--label={key}={value}" for key, value in pattern["Config"]["Labels"].items()]
        self.engine.client.call(
            "run", "--detach", "--tty", "--name", node, "--hostname", node, *labels,
            "--net", self.engine.network, "--privileged", "--tmpfs", "/tmp", "--tmpfs", "/run",
            "--cgroupns=private", "--volume", "/lib/modules:/lib/modules:ro",
            *self.engine.node_options(node), self.engine.image,
        )  # fmt: skip
        self.adopt(node, node)
        self._wait_for_system(node)
        joining = self.execute(model, "cat", _KUBEADM)
        for old, new in ((model, node), (self._address(pattern), self.address(node))):
            joining = joining.replace(old, new)
        self.write(node, _KUBEADM, tainted(joining, taints))
        self.load_images([node])
        self.execute(
            node, "kubeadm", "join", "--config", _KUBEADM, "--skip-phases=preflight", within_s=_JOIN_S
        )
        if self.plain:
            self.speak_plainly(node)
        return node

    def _wait_for_system(self, node: str) -> None:
        """Until systemd has started all that it is to start, of which it tells on the console."""
        console = subprocess.Popen(
            self.engine.client.command("logs", "--follow", node), env=self.engine.client.environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        deadline = threading.Timer(_JOIN_S, console.terminate)
        deadline.start()
        with console:
            assert console.stdout is not None
            last = ""
            for last in console.stdout:
                if _SYSTEM in last:
                    break
            deadline.cancel()
            console.terminate()
        if _SYSTEM not in last:
            raise ClusterError(f"{node} did not start within {_JOIN_S:g} s; its console ends with {last!r}")

    def power_off(self, node: str) -> None:
        """Ends everything on a node at once, as if its power was cut; others only notice its silence."""
        self.engine.client.call("network", "disconnect", "--force", self.engine.network, node)
        self.engine.client.call("kill", node)

    def shut_down(self, node: str) -> None:
        """Ends a node's parts one after the other, each in its own way, and then what is left there."""
        self.execute(node, "systemctl", "stop", "kubelet", "containerd", within_s=_JOIN_S)
        self.power_off(node)

    def pause(self, node: str) -> None:
        """Stops every process on a node, pods included, until ``resume``. None of them is told."""
        stop_all(lambda: self.processes(node), node)

    def resume(self, node: str) -> None:
        send(self.processes(node), signal.SIGCONT)

    def processes(self, node: str) -> set[int]:
        """The node's own and those of its pods."""
        return runs.processes(self._groups[node])

    def collect_logs(self, directory: Path) -> Iterator[str]:
        """The consoles of nodes, the journals of kubelet and containerd there, and the logs of static pods.

        Into a directory a node. Yields what could not be had.
        """
        label = f"--filter=label={CLUSTER_LABEL}={self.cluster}"
        try:
            nodes = self.engine.client.lines("ps", "--all", "--format={{.Names}}", label)
        except ClusterError as error:
            yield str(error)
            return
        for node in nodes:
            own = directory / node
            own.mkdir(parents=True, exist_ok=True)
            try:
                (own / "console.log").write_text(self.engine.client.call("logs", node))
                if self.engine.client.inspect(node)["State"]["Running"]:
                    self._collect_inside(node, own)
            except ClusterError as error:
                yield f"{node}: {error}"

    def _collect_inside(self, node: str, own: Path) -> None:
        for unit in ("kubelet", "containerd"):
            text = self.execute(node, "journalctl", "--no-pager", "--output=short-precise", "--unit", unit)
            (own / f"{unit}.log").write_text(text)
        self.execute(node, "mkdir", "-p", _POD_LOGS)  # which a kubelet makes, unless it never ran
        self.engine.client.call("cp", f"{node}:{_POD_LOGS}", str(own / "pods"))


def tainted(joining: str, taints: Sequence[Mapping[str, str]]) -> str:
    """Kubeadm's configuration, with taints for the node that joins by it."""
    documents = [each for each in yaml.safe_load_all(joining) if each]
    for each in documents:
        if each["kind"] == "JoinConfiguration":
            each["nodeRegistration"]["taints"] = [dict(taint) for taint in taints]
    return str(yaml.safe_dump_all(documents))


def control_group(process: Path, container: str) -> str:
    """The group, below each controller's root, of a container with this id, by one of its processes in /proc.

    "" if the process is not of that container. Its own groups are below that one.
    """
    try:
        lines = (process / "cgroup").read_text().splitlines()
    except FileNotFoundError:
        return ""
    for line in lines:
        parts = line.split(":", 2)[2].split("/")
        for depth, part in enumerate(parts, start=1):
            if container in part:
                return "/".join(parts[:depth]).strip("/")
    return ""
