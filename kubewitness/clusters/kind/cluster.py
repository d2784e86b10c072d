"""Provider ``kind``: nodes are containers, made by kind in an engine of the run's own or of the host's."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubewitness.clusters import configuration, network
from kubewitness.clusters.api import Api, nodes, pods
from kubewitness.clusters.components import (
    API_PORT,
    INSECURE_PORT,
    MOST_RELAYED_STREAMS,
    RELAYED_STREAMS,
    relay,
)
from kubewitness.clusters.errors import ClusterError, Refused
from kubewitness.clusters.forward import LOOPBACK
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.kept import CONTROL_PLANE, KeptCluster
from kubewitness.clusters.kind import own
from kubewitness.clusters.kind.client import bound
from kubewitness.clusters.kind.containers import Containers
from kubewitness.clusters.kind.engine import Engine
from kubewitness.clusters.kind.failing import not_made
from kubewitness.clusters.kind.host import HostEngine
from kubewitness.clusters.nodeimage.building import node_image
from kubewitness.clusters.nodes import START_S, is_ready
from kubewitness.clusters.storage import Storage
from kubewitness.model import versions
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.cluster import ClusterSpec, EngineName, InsecurePort, Setup

_CREATE_S = 600.0
_INTERFACES = ("lo", "eth0", "host0")
#: A directory of the host's that the control plane's node and its API server see, too.
_SHARED = "/kubewitness"
_PATCHES, _AUDIT, _POLICY = f"{_SHARED}/patches", f"{_SHARED}/audit", f"{_SHARED}/policy.json"
#: The first place where a node looks for programs. Images have theirs in later ones.
BEFORE_KUBEADM = "/usr/local/sbin/kubeadm"
FLAG_GIVER = f"""\
#!/bin/sh
# This version of kubeadm takes patches by a flag only, which kind does not give.
PATH=${{PATH#*:}}
[ "$1" = init ] && set -- "$@" --experimental-patches={_PATCHES}
exec kubeadm "$@"
"""
#: Who asked for what, of every request once it is answered, but no bodies: those are in the capture.
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
#: The last numbers: a keeper gives the first ones to what it starts.
_MARKS = {
    network.MARKS - number: component
    for number, component in enumerate(
        ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    )
}
#: What newer versions of kubeadm tell the API server by themselves.
_TOKENS = {
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-signing-key-file": "/etc/kubernetes/pki/sa.key",
}
_MANIFESTS = "/etc/kubernetes/manifests"
_PROXY_SETTINGS = "/api/v1/namespaces/kube-system/configmaps/kube-proxy"


@dataclass
class KindCluster(KeptCluster):
    """``image`` is the node image's archive; None: one that is made here."""

    image: Path | None = field(kw_only=True, default=None)
    containers: Containers = field(init=False)

    @property
    def name(self) -> str:
        """Of the cluster, as kind knows it; its nodes' names begin with it."""
        return self.spec.kind_name

    @property
    def control_plane(self) -> str:
        return f"{self.name}-control-plane"

    @property
    def plain(self) -> bool:
        return self.spec.setup is Setup.INSECURE

    @property
    def nodes(self) -> Containers:
        return self.containers

    @property
    def storage(self) -> Storage:
        raise Refused("provider kind puts no servers of files and disks beside its clusters")

    @property
    def load_kubeconfig(self) -> Path:
        raise Refused(
            "provider kind takes no loads: its host does all that is measured, and its engine's work"
        )

    def metrics(self, component: str) -> str:
        raise Refused(f"provider kind does not ask {component}")

    def stop(self) -> float:
        try:
            if self.keeper is not None and hasattr(self, "containers"):
                self._collect_logs()
        except BaseException:
            super().stop()
            raise
        return super().stop()

    def _collect_logs(self) -> None:
        logs = self.run.directory / "logs"
        for missing in self.containers.collect_logs(logs):
            self.progress(f"{self.spec.label}: not all logs of its nodes could be had: {missing}")
        audit = self.run.directory / "shared" / "audit"
        if audit.is_dir():
            shutil.copytree(audit, logs / "audit")

    def facts(self) -> dict[str, Any]:
        engine = self.containers.engine.facts()
        return super().facts() | {
            "engine": engine | {"restricted": self.containers.restricted(self.control_plane)}
        }

    def end(self, component: str) -> None:
        """Takes its static pod away, and ends it at once."""
        self.containers.execute(self.control_plane, "mv", f"{_MANIFESTS}/{component}.yaml", "/kind/")
        pod = f"{component}-{self.control_plane}"
        try:
            self.containers.kill(self.control_plane, component)
            self.api.wait(
                pods("kube-system"),
                pod,
                lambda found: found is None,
                within_s=START_S,
                what=f"{pod} to be gone",
            )
        except BaseException:
            self.restart(component)  # or all that comes after this would be without it
            raise

    def restart(self, component: str) -> None:
        self.containers.execute(self.control_plane, "mv", f"/kind/{component}.yaml", f"{_MANIFESTS}/")

    def _start(self) -> None:
        directory = self.run.directory
        self.keeper = keeper = Keeper.start(directory)
        engine = self._engine(keeper)
        self._mark("engine_ready_s")
        self.containers = Containers(engine, keeper, self.name, self.assets.images)
        self._create(engine, keeper)
        self._mark("kind_created_s")
        workers = self.spec.node_names
        self.containers.load_images([*workers])
        address = self.containers.address(self.control_plane)
        self._write_kubeconfigs()
        if self.plain:
            self._speak_plainly(keeper, f"http://{address}:{INSECURE_PORT}")
        self.api = Api(self.kubeconfig)
        self._wait_until_ready()
        self._mark("apiserver_ready_s")
        if self.plain:
            self._speak_plainly_to_services(f"http://{address}:{INSECURE_PORT}")
        for node in (self.control_plane, *workers):
            self.api.wait(nodes(), node, is_ready, within_s=START_S, what=f"{node} to be Ready")
        self._mark("node_ready_s")

    def _engine(self, keeper: Keeper) -> Engine:
        """Runs, and has the node image."""
        image = self.image or node_image(self.assets, self.progress).archive
        if self.spec.engine is EngineName.OWN:
            return own.start(image, self.run, keeper, self.progress)
        return HostEngine.prepare(self.spec, image, self.run, self.progress)

    def _create(self, engine: Engine, keeper: Keeper) -> None:
        """Lets kind make the nodes; the capture begins as soon as the first of them is there."""
        directory = self.run.directory
        shared = directory / "shared"
        config = configuration.write_json(directory / "kind.json", asked(self.spec, self.inside, shared))
        configuration.write_json(shared / "policy.json", _AUDITED)
        (shared / "audit").mkdir()
        for mark, component in _MARKS.items():
            # By its group the kernel knows whose connection each is (network.marking).
            identity = {"runAsUser": 0, "runAsGroup": network.MARKED_GROUPS + mark}
            patch = shared / "patches" / f"{component}.json"
            configuration.write_json(patch, {"spec": {"securityContext": identity}})
        giver = shared / "kubeadm"
        giver.write_text(FLAG_GIVER)
        giver.chmod(0o755)
        watching = subprocess.Popen(
            bound(engine.started()), env=engine.client.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert watching.stdin is not None
        assert watching.stdout is not None
        failures: list[Exception] = []
        names = {self.control_plane, *self.spec.node_names}
        follow = threading.Thread(target=self._follow, args=(watching.stdout, names, keeper, failures))
        follow.start()
        argv: list[object] = [
            sys.executable, "-m", "kubewitness.clusters.kind.making",
            self.name, directory / "kind.kubeconfig", engine.image, self._retaining(),
            self.binaries / "kubectl", config,
        ]  # fmt: skip
        try:
            status = engine.run(argv, directory, _CREATE_S)
        finally:
            watching.stdin.close()
            watching.wait()
            follow.join()
            watching.stdout.close()
        unseen = [f"the nodes of {self.name} cannot be observed: {each}" for each in failures]
        if status:
            said = (directory / "logs" / "kind.log").read_text(errors="replace")
            raise ClusterError(
                "\n".join([not_made(self.spec, self.assets.kubernetes, status, said), *unseen])
            )
        if unseen:
            raise ClusterError(unseen[0]) from failures[0]

    def _retaining(self) -> Path:
        """kind, which would remove the nodes of a cluster that does not come up, and their logs with them."""
        script = self.run.directory / "kind-retaining"
        kind = shlex.quote(str(self.assets.path("kind")))
        script.write_text(
            f'#!/bin/sh\ncase $1 in create) exec {kind} "$@" --retain ;; esac\nexec {kind} "$@"\n'
        )
        script.chmod(0o755)
        return script

    def _follow(
        self, started: Iterator[str], names: set[str], keeper: Keeper, failures: list[Exception]
    ) -> None:
        """Takes hold of each node's network as it starts, and captures that of the control plane."""
        try:
            for name in (line.strip() for line in started):
                if name in names:
                    self.progress(f"{self.spec.label}: container {name} has started")
                if name == self.control_plane:
                    self.containers.adopt(name, CONTROL_PLANE)
                    link = f"link add host0 type veth peer name {self.run.link} netns /proc/1/ns/net"
                    ends = [f"address add {self.inside}/30 dev host0", "link set host0 up"]
                    keeper.links(CONTROL_PLANE, [link, *ends])
                    keeper.links("", self._link_host())
                    self._capture(keeper, _INTERFACES, {}, _MARKS)
                elif name in names:
                    self.containers.adopt(name, name)
        except (ClusterError, OSError, KeyError) as error:
            failures.append(error)

    def _write_kubeconfigs(self) -> None:
        """For the host, and for clients on the control plane's loopback: the administrator's, by kubeadm."""
        if self.plain:
            self.kubeconfig, self.client_kubeconfig = (
                self._plain(name, f"http://{address}:{INSECURE_PORT}")
                for name, address in (("admin", self.inside), ("client", LOOPBACK))
            )
        else:
            self.kubeconfig = self._encrypted("admin", self.inside)
            self.client_kubeconfig = self._encrypted("client", LOOPBACK)

    def _plain(self, name: str, server: str) -> Path:
        return configuration.kubeconfig(self.run.directory / "kubeconfigs" / f"{name}.json", server)

    def _encrypted(self, name: str, address: str) -> Path:
        view = ("kubectl", "config", "view", "--raw", "--output=json")
        made = json.loads(self.containers.execute(self.control_plane, *view))
        made["clusters"][0]["cluster"]["server"] = f"https://{address}:{API_PORT}"
        path = configuration.write_json(self.run.directory / "kubeconfigs" / f"{name}.json", made)
        path.chmod(0o600)
        return path

    def _speak_plainly(self, keeper: Keeper, server: str) -> None:
        """Points every component at the insecure port; where there is none, the relay is put in its place."""
        if self.spec.insecure_port is InsecurePort.RELAY:
            argv = relay(self.binaries, self._encrypted("relay", LOOPBACK))
            keeper.spawn("relay", argv, ns=CONTROL_PLANE)
        self.containers.plain = self._plain("kubelet", server)
        for component in ("kube-scheduler", "kube-controller-manager"):
            file = f"/etc/kubernetes/{component.removeprefix('kube-')}.conf"
            script = f"s|server: .*|server: http://{LOOPBACK}:{INSECURE_PORT}|"
            self.containers.execute(self.control_plane, "sed", "-i", script, file)
            self.containers.kill(self.control_plane, component)
        for node in (self.control_plane, *self.spec.node_names):
            self.containers.speak_plainly(node)

    def _speak_plainly_to_services(self, server: str) -> None:
        """The same for the service proxies, whose kubeconfig is in a ConfigMap."""
        text = self.api.get(_PROXY_SETTINGS)["data"]["kubeconfig.conf"]
        lines = [
            line.partition("server:")[0] + f"server: {server}" if "server:" in line else line
            for line in text.splitlines()
        ]
        self.api.patch(_PROXY_SETTINGS, {"data": {"kubeconfig.conf": "\n".join(lines)}})
        self.kubectl(("rollout", "restart", "daemonset/kube-proxy", "--namespace=kube-system"))
        one_by_one_s = START_S * (1 + len(self.spec.node_names))
        self.kubectl(
            ("rollout", "status", "daemonset/kube-proxy", "--namespace=kube-system"), within_s=one_by_one_s
        )


def asked(spec: ClusterSpec, inside: str, shared: Path) -> dict[str, Any]:
    """``shared`` is the directory that the control plane sees as _SHARED.

    For kind (kind.x-k8s.io/v1alpha4), which turns arguments of kubeadm's older form into the newer.
    """
    minor = parse_minor(spec.version)
    kubelet: dict[str, Any] = {"cgroupDriver": "cgroupfs", "cgroupRoot": "/"}
    if versions.may_refuse_old_control_groups(minor):
        kubelet["failCgroupV1"] = False
    loops = {"extraArgs": {"leader-elect": "false"}}
    etcd = {"enable-grpc-gateway": "false"}  # it would be one more client of etcd, etcd itself
    arguments = {"audit-policy-file": _POLICY, "audit-log-path": f"{_AUDIT}/audit.log"}
    apiserver: dict[str, Any] = {
        "certSANs": [LOOPBACK, inside],
        "extraArgs": arguments,
        "extraVolumes": [
            {"name": "shared", "hostPath": _SHARED, "mountPath": _SHARED, "pathType": "Directory"}
        ],
    }
    if spec.setup is Setup.INSECURE:
        kubelet["rotateCertificates"] = False  # it has none
        url = f"http://{LOOPBACK}:2379"
        etcd |= {"listen-client-urls": url, "advertise-client-urls": url}
        arguments["etcd-servers"] = url
    match spec.insecure_port:
        case InsecurePort.REAL:
            arguments |= {"insecure-port": str(INSECURE_PORT), "insecure-bind-address": "0.0.0.0"}  # noqa: S104
        case InsecurePort.RELAY:
            arguments[RELAYED_STREAMS] = MOST_RELAYED_STREAMS
    if not versions.configures_token_issuer(minor):
        arguments |= _TOKENS
    changes: list[dict[str, Any]] = [
        {
            "kind": "ClusterConfiguration",
            "apiServer": apiserver,
            "controllerManager": loops,
            "scheduler": loops,
            "etcd": {"local": {"extraArgs": etcd}},
        },
        {"kind": "KubeletConfiguration", **kubelet},
    ]
    mounts: list[dict[str, Any]] = [{"hostPath": str(shared), "containerPath": _SHARED}]
    if versions.configures_patches_by_file(minor):
        changes.append({"kind": "InitConfiguration", "patches": {"directory": _PATCHES}})
    else:
        giver = {"hostPath": str(shared / "kubeadm"), "containerPath": BEFORE_KUBEADM}
        mounts.append(giver | {"readOnly": True})
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": network.PODS},
        "kubeadmConfigPatches": [json.dumps(each) for each in changes],
        "nodes": [
            {"role": "control-plane", "extraMounts": mounts},
            *({"role": "worker"} for _ in spec.node_names),
        ],
    }
