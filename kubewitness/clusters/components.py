"""The command lines of a local cluster's components, for each setup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kubewitness.clusters import configuration, network, simulated
from kubewitness.clusters.certificates import Authority, KeyPair, signing_key
from kubewitness.model import versions
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.cluster import ClusterSpec, InsecurePort, Setup, Topology
from kubewitness.model.needs import mounts_label

MASTERS = ("system:masters",)
_LIMIT_FLAGS = (f"--kube-api-qps={configuration.QPS}", f"--kube-api-burst={configuration.BURST}")
#: Nobody makes service accounts where no controller manager runs. And where no node lifecycle controller
#: does, nobody takes the taint not-ready away that TaintNodesByCondition gives to each new node, Ready or
#: not: right for a minimal cluster, whose node is not ready, but simulated ones are.
_NOT_ADMITTING = {
    Topology.STANDARD: (),
    Topology.MINIMAL: ("ServiceAccount",),
    Topology.SIMULATED: ("ServiceAccount", "TaintNodesByCondition"),
}
API_PORT, INSECURE_PORT, SCHEDULER_PORT = 6443, 8080, 10259


@dataclass(frozen=True, slots=True)
class Components:
    """Everything that the components of one cluster are started with.

    ``insecure``: etcd and the API server's clients speak plaintext, the latter
    to port 8080: the API server's own, or where it has none that of a relay
    before it. ``tls``: mutual TLS on every link, RBAC and Node authorization.
    """

    spec: ClusterSpec
    directory: Path
    binaries: Path
    cgroup: str
    inside: str  # the control plane's address on the link to the host
    authority: Authority
    etcd_authority: Authority
    sa_key: Path

    @classmethod
    def make(cls, spec: ClusterSpec, directory: Path, binaries: Path, cgroup: str, inside: str) -> Components:
        pki = directory / "pki"
        return cls(
            spec, directory, binaries, cgroup, inside,
            Authority(pki, "ca"), Authority(pki, "etcd-ca"), signing_key(pki, "service-accounts"),
        )  # fmt: skip

    @property
    def plain(self) -> bool:
        return self.spec.setup is Setup.INSECURE

    @property
    def minor(self) -> versions.Minor:
        return parse_minor(self.spec.version)

    def node(self, number: int) -> str:
        return f"node{number}"

    def user(
        self, file: str, name: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
    ) -> KeyPair:
        return self.authority.issue(file, name, groups, hosts)

    def _client(self, file: str, user: str, groups: tuple[str, ...], address: str) -> Path:
        """A component's kubeconfig: the insecure port in `insecure`, its own certificate in `tls`."""
        path = self.directory / "kubeconfigs" / f"{file}.json"
        if self.plain:
            return configuration.kubeconfig(path, f"http://{address}:{INSECURE_PORT}")
        return configuration.kubeconfig(
            path,
            f"https://{address}:{API_PORT}",
            self.authority.certificate,
            self.user(file, user, groups),
        )

    def admin(self) -> Path:
        """The administrator's kubeconfig as seen from the host."""
        return self._client("admin", "kubernetes-admin", MASTERS, self.inside)

    def client(self) -> Path:
        """The kubeconfig of a kubectl that runs on the control plane's own loopback."""
        return self._client("kubectl", "kubernetes-admin", MASTERS, "127.0.0.1")

    def etcd(self) -> list[str | Path]:
        scheme = "http" if self.plain else "https"
        argv: list[str | Path] = [
            self.binaries / "etcd", "--data-dir", self.directory / "etcd", "--unsafe-no-fsync",
            "--enable-grpc-gateway=false",  # it would be one more client of etcd, etcd itself
            # A member alone has nobody to hear from, and elects itself only when it has waited for that.
            "--heartbeat-interval=10", "--election-timeout=100",
            "--listen-client-urls", f"{scheme}://127.0.0.1:2379",
            "--advertise-client-urls", f"{scheme}://127.0.0.1:2379",
            "--listen-peer-urls", f"{scheme}://127.0.0.1:2380",
            "--initial-advertise-peer-urls", f"{scheme}://127.0.0.1:2380",
            "--initial-cluster", f"default={scheme}://127.0.0.1:2380",
        ]  # fmt: skip
        if not self.plain:
            pair = self.etcd_authority.issue("etcd", "etcd", hosts=("127.0.0.1", "localhost"))
            for kind in ("", "peer-"):
                argv += [
                    f"--{kind}client-cert-auth", f"--{kind}trusted-ca-file", self.etcd_authority.certificate,
                    f"--{kind}cert-file", pair.certificate, f"--{kind}key-file", pair.key,
                ]  # fmt: skip
        return argv

    def apiserver(self) -> list[str | Path]:
        hosts = (
            network.CONTROL_PLANE, self.inside, "127.0.0.1", network.SERVICE_API, "localhost", "kubernetes",
            "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        )  # fmt: skip
        serving = self.user("apiserver", "kube-apiserver", hosts=hosts)
        to_kubelets = self.user("apiserver-kubelet-client", "kube-apiserver-kubelet-client", MASTERS)
        argv: list[str | Path] = [
            self.binaries / "kube-apiserver", f"--secure-port={API_PORT}", "--bind-address=0.0.0.0",
            f"--advertise-address={network.CONTROL_PLANE}", "--allow-privileged", "--profiling=false",
            f"--service-cluster-ip-range={network.SERVICES}",
            "--tls-cert-file", serving.certificate, "--tls-private-key-file", serving.key,
            "--client-ca-file", self.authority.certificate,
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file", self.sa_key, "--service-account-signing-key-file", self.sa_key,
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-client-certificate", to_kubelets.certificate,
            "--kubelet-client-key", to_kubelets.key,
            "--kubelet-certificate-authority", self.authority.certificate,
        ]  # fmt: skip
        if disabled := _NOT_ADMITTING[self.spec.topology]:
            argv.append("--disable-admission-plugins=" + ",".join(disabled))
        if self.spec.insecure_port is InsecurePort.REAL:
            argv += [f"--insecure-port={INSECURE_PORT}", "--insecure-bind-address=0.0.0.0"]
        elif versions.serves_plaintext(self.minor):
            argv.append("--insecure-port=0")
        elif self.plain:
            argv.append(f"--{RELAYED_STREAMS}={MOST_RELAYED_STREAMS}")
        if self.plain:
            return [*argv, "--etcd-servers=http://127.0.0.1:2379", "--authorization-mode=AlwaysAllow"]
        etcd_client = self.etcd_authority.issue("apiserver-etcd-client", "kube-apiserver")
        return [
            *argv, "--etcd-servers=https://127.0.0.1:2379", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--etcd-cafile", self.etcd_authority.certificate,
            "--etcd-certfile", etcd_client.certificate, "--etcd-keyfile", etcd_client.key,
        ]  # fmt: skip

    def relay(self) -> list[str | Path]:
        """`kubectl proxy` in the place of the insecure port, as a user to whom all is allowed."""
        path = configuration.kubeconfig(
            self.directory / "kubeconfigs" / "relay.json",
            f"https://127.0.0.1:{API_PORT}",
            self.authority.certificate,
            self.user("relay", "system:unsecured", MASTERS),
        )
        return relay(self.binaries, path)

    def scheduler(self) -> list[str | Path]:
        return [*self._control_loop("kube-scheduler"), *_LIMIT_FLAGS]

    def serving_scheduler(self) -> list[str]:
        """Flags for a kubectl on the control plane's loopback that is to reach the scheduler itself."""
        who = self.user("metrics", "kubernetes-metrics", MASTERS)
        return [
            f"--server=https://127.0.0.1:{SCHEDULER_PORT}", "--insecure-skip-tls-verify",
            f"--client-certificate={who.certificate}", f"--client-key={who.key}",
        ]  # fmt: skip

    def delayed_scheduler(self, program: Path, *, in_cycle: bool) -> list[str | Path]:
        """``in_cycle``: it waits in the scheduling cycle, too."""
        _, *argv = self._control_loop("kube-scheduler")
        kubeconfig = Path(argv[argv.index("--kubeconfig") + 1])
        content = configuration.delayed_scheduler(kubeconfig, in_cycle=in_cycle)
        config = configuration.write_json(self.directory / "delayed-scheduler.json", content)
        return [program, *argv, "--config", config]

    def kwok(self) -> list[str | Path]:
        path = self._client("kwok", "kwok", MASTERS, "127.0.0.1")
        config = simulated.write_configuration(self.directory / "kwok.yaml")
        return [self.binaries / "kwok", "--config", config, "--kubeconfig", path]

    def client_limits(self) -> dict[str, dict[str, int | None]]:
        """How many requests a second each component allows itself, and at once; None: it counts none."""
        limited: dict[str, int | None] = {"qps": configuration.QPS, "burst": configuration.BURST}
        names = {
            Topology.MINIMAL: ("kube-scheduler", "kubelet"),
            Topology.STANDARD: ("kube-scheduler", "kubelet", "kube-controller-manager"),
            Topology.SIMULATED: ("kube-scheduler", "kube-controller-manager"),
        }[self.spec.topology]
        found = dict.fromkeys(names, limited)
        if self.spec.topology is Topology.SIMULATED:
            found["kwok"] = {"qps": None, "burst": None}
        return found

    def controller_manager(self) -> list[str | Path]:
        nobody_beats = self.spec.topology is Topology.SIMULATED
        return [
            *self._control_loop("kube-controller-manager"),
            "--service-account-private-key-file", self.sa_key,
            "--root-ca-file", self.authority.certificate,
            "--cluster-signing-cert-file", self.authority.certificate,
            "--cluster-signing-key-file", self.authority.key,
            "--allocate-node-cidrs=false",
            # At the default of 20 requests a second its controllers wait seconds for their own credentials.
            *_LIMIT_FLAGS,
            # Simulated nodes have no heartbeats, and would be given up for lost.
            *(["--controllers=*,-nodelifecycle"] if nobody_beats else []),
            f"--use-service-account-credentials={'false' if self.plain else 'true'}",
        ]  # fmt: skip

    def _control_loop(self, name: str) -> list[str | Path]:
        path = self._client(name, f"system:{name}", (), "127.0.0.1")
        serving = self.user(f"{name}-serving", name, hosts=("127.0.0.1", "localhost"))
        argv: list[str | Path] = [
            self.binaries / name, "--kubeconfig", path, "--leader-elect=false", "--bind-address=127.0.0.1",
            "--tls-cert-file", serving.certificate, "--tls-private-key-file", serving.key,
            # On the control plane's loopback only: their own figures stand beside those that are measured.
            "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics",
        ]  # fmt: skip
        if versions.control_loops_serve_plaintext(self.minor):
            argv.append("--port=0")
        if not self.plain:
            argv += ["--authentication-kubeconfig", path, "--authorization-kubeconfig", path]
        return argv

    def kubelet(
        self,
        number: int,
        taints: Sequence[Mapping[str, str]] = (),
        settings: Mapping[str, Any] = MappingProxyType({}),
        mounts: Iterable[str] = (),
    ) -> list[str | Path]:
        """``taints`` and what it ``mounts`` are what the node registers itself with.

        ``settings`` go before the usual ones.
        """
        node, address = self.node(number), network.node_address(number)
        content = configuration.kubelet(
            self.spec.setup,
            self.spec.topology,
            self.minor,
            f"{self.cgroup}/{node}",
            self.user(f"{node}-serving", f"system:node:{node}", hosts=(node, address)),
            self.authority.certificate,
            self.directory / "resolv.conf",
            taints,
        )
        content |= settings
        config = configuration.write_json(self.directory / "nodes" / node / "kubelet.json", content)
        client = self._client(node, f"system:node:{node}", ("system:nodes",), network.CONTROL_PLANE)
        labels = ",".join(f"{mounts_label(kind)}=true" for kind in mounts)
        return [
            self.binaries / "kubelet", "--config", config, "--kubeconfig", client,
            f"--hostname-override={node}", f"--node-ip={address}", f"--node-labels={labels}",
            *configuration.kubelet_flags(self.minor, taints),
        ]  # fmt: skip

    def proxy(self, number: int) -> list[str | Path]:
        node = self.node(number)
        client = self._client(f"{node}-proxy", "system:kube-proxy", (), network.CONTROL_PLANE)
        content = configuration.kube_proxy(client, node, self.minor)
        config = configuration.write_json(self.directory / "nodes" / node / "proxy.json", content)
        return [self.binaries / "kube-proxy", "--config", config]


#: All clients of a relay share its few connections, and their watches fill the 100 streams that an API server
#: allows of each. Go's server then refuses a stream at times (PROTOCOL_ERROR): it counts one as open until
#: its own loop hears that the last frame is written, and by then the client may have begun the next.
RELAYED_STREAMS, MOST_RELAYED_STREAMS = "http2-max-streams-per-connection", "1000"


def relay(binaries: Path, kubeconfig: Path) -> list[str | Path]:
    """`kubectl proxy` in the place of the insecure port: who asks there has the rights of ``kubeconfig``."""
    return [
        binaries / "kubectl", "proxy", "--kubeconfig", kubeconfig, "--address=0.0.0.0",
        f"--port={INSECURE_PORT}", "--accept-hosts=.*", "--accept-paths=.*", "--reject-paths=",
        "--disable-filter=true",
    ]  # fmt: skip
