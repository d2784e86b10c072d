"""The configuration files of a local cluster's components. JSON is YAML, so JSON is what they get."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kubewitness.clusters import network
from kubewitness.clusters.certificates import KeyPair
from kubewitness.model.cluster import Setup, Topology
from kubewitness.model.versions import (
    configures_runtime_by_file,
    gates_nftables,
    may_refuse_old_control_groups,
    proxies_by_nftables,
)

#: Requests that each component may send in a second, and at once: as good as no limit, which would hide what
#: the cluster itself can do. By Kubernetes' default a scheduler binds no more than 50 pods a second.
QPS, BURST = 5000, 10000
RUNTIME_SOCKET: Final = "/run/containerd/containerd.sock"
RUNTIME_ENDPOINT: Final = f"unix://{RUNTIME_SOCKET}"


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    return path


def kubeconfig(path: Path, server: str, authority: Path | None = None, user: KeyPair | None = None) -> Path:
    """A kubeconfig for ``server``; with an authority and a user's certificate where it is TLS."""
    cluster = {"server": server} | ({"certificate-authority": str(authority)} if authority else {})
    credentials = {"client-certificate": str(user.certificate), "client-key": str(user.key)} if user else {}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kubewitness", "cluster": cluster}],
        "users": [{"name": "kubewitness", "user": credentials}],
        "contexts": [{"name": "kubewitness", "context": {"cluster": "kubewitness", "user": "kubewitness"}}],
        "current-context": "kubewitness",
    }
    write_json(path, content)
    path.chmod(0o600)
    return path


def kubelet(
    setup: Setup,
    topology: Topology,
    minor: tuple[int, int],
    cgroup: str,
    serving: KeyPair,
    client_authority: Path,
    resolv_conf: Path,
    taints: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """A KubeletConfiguration. Pods live below ``cgroup``, so that two kubelets of a host never meet."""
    open_to_all = setup is Setup.INSECURE
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # This host may have no others than those of version 1.
        **({"failCgroupV1": False} if may_refuse_old_control_groups(minor) else {}),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failSwapOn": False,
        **(
            {"containerRuntimeEndpoint": RUNTIME_ENDPOINT, "registerWithTaints": [*taints]}
            if configures_runtime_by_file(minor)
            else {}
        ),
        "authentication": {
            "anonymous": {"enabled": open_to_all},
            "webhook": {"enabled": not open_to_all},
            "x509": {} if open_to_all else {"clientCAFile": str(client_authority)},
        },
        "authorization": {"mode": "AlwaysAllow" if open_to_all else "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "resolvConf": str(resolv_conf),
        **(
            {"clusterDNS": [network.SERVICE_DNS], "clusterDomain": "cluster.local"}
            if topology is Topology.STANDARD
            else {}
        ),
        # The host's disk is not the cluster's business: a full one must not taint nodes.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "kubeAPIQPS": QPS,
        "kubeAPIBurst": BURST,
        "makeIPTablesUtilChains": False,
        # A host may forbid to lower it, and a test cluster must not be the last to be killed anyway.
        "oomScoreAdj": 0,
    }


def kubelet_flags(minor: tuple[int, int], taints: Sequence[Mapping[str, str]] = ()) -> list[str]:
    """What a kubelet does not take from its file."""
    if configures_runtime_by_file(minor):
        return []
    written = ",".join(f"{each['key']}={each.get('value', '')}:{each['effect']}" for each in taints)
    return [
        "--container-runtime=remote", f"--container-runtime-endpoint={RUNTIME_ENDPOINT}",
        f"--register-with-taints={written}",
    ]  # fmt: skip


def delayed_scheduler(kubeconfig_path: Path, *, in_cycle: bool) -> dict[str, Any]:
    """A KubeSchedulerConfiguration by which the plugin of assets/delayed_scheduler.go waits."""
    waiting, binder = {"name": "KubewitnessDelay"}, {"name": "DefaultBinder"}
    # Defaults go first, unless they are disabled and come again; and once a pod is bound, no other is asked.
    plugins: dict[str, Any] = {"bind": {"disabled": [binder], "enabled": [waiting, binder]}}
    if in_cycle:
        plugins["preFilter"] = {"enabled": [waiting]}
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        # With a file, flags for these are not heeded.
        "clientConnection": {"kubeconfig": str(kubeconfig_path), "qps": QPS, "burst": BURST},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": "default-scheduler", "plugins": plugins}],
    }


def kube_proxy(kubeconfig_path: Path, node: str, minor: tuple[int, int]) -> dict[str, Any]:
    return {
        **({"featureGates": {"NFTablesProxyMode": True}} if gates_nftables(minor) else {}),
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables" if proxies_by_nftables(minor) else "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig_path)},
        "clusterCIDR": network.PODS,
        "hostnameOverride": node,
        "oomScoreAdj": 0,
        # Zero leaves the host's connection tracking limits alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def containerd(
    binaries: Path, cni: Path, sandbox_image: str, *, restricted: bool, plugins: Path | None = None
) -> str:
    """Containerd's TOML. ``restricted``: this host may not lower oom_score_adj (no CAP_SYS_RESOURCE).

    The CNI plugins are in ``plugins``, or else among the other ``binaries``.
    """
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile",
]
[grpc]
  address = "{RUNTIME_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  tolerate_missing_hugepages_controller = true
  restrict_oom_score_adj = {"true" if restricted else "false"}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins or binaries}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{binaries}/runc"
"""


def pod_network(number: int) -> dict[str, Any]:
    """The CNI configuration list of node ``number``: a bridge, addresses from the node's own range."""
    return {
        "cniVersion": "1.0.0",
        "name": "kubewitness",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": network.pod_range(number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            # Whatever else the host has installed, nftables is there.
            {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
        ],
    }
