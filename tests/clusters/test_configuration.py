"""Files that components read: what differs between setups, topologies, nodes and versions."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters import configuration
from kubewitness.clusters.certificates import KeyPair
from kubewitness.model.cluster import Setup, Topology

PAIR = KeyPair(Path("user.crt"), Path("user.key"))


def kubelet(
    setup: Setup = Setup.TLS, topology: Topology = Topology.MINIMAL, minor: tuple[int, int] = (1, 37)
) -> dict[str, Any]:
    return configuration.kubelet(setup, topology, minor, "kw/node1", PAIR, Path("ca.crt"), Path("resolv"))


def test_a_kubeconfig_is_its_owners_own(tmp_path: Path) -> None:
    file = configuration.kubeconfig(tmp_path / "new" / "kubeconfig", "https://x", Path("ca.crt"), PAIR)
    content = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert content["clusters"][0]["cluster"] == {"server": "https://x", "certificate-authority": "ca.crt"}
    user = {"client-certificate": "user.crt", "client-key": "user.key"}
    assert content["users"][0]["user"] == user


def test_a_plaintext_kubeconfig_has_no_credentials(tmp_path: Path) -> None:
    content = json.loads(configuration.kubeconfig(tmp_path / "kubeconfig", "http://x").read_text())
    assert content["clusters"][0]["cluster"] == {"server": "http://x"}
    assert content["users"][0]["user"] == {}


def test_a_kubelet_is_open_in_the_insecure_setup_only() -> None:
    opened, closed = kubelet(Setup.INSECURE), kubelet(Setup.TLS)
    assert opened["authentication"]["anonymous"]["enabled"] is True
    assert opened["authorization"]["mode"] == "AlwaysAllow"
    assert closed["authentication"]["anonymous"]["enabled"] is False
    assert closed["authentication"]["x509"] == {"clientCAFile": "ca.crt"}
    assert closed["authorization"]["mode"] == "Webhook"


def test_a_kubelet_names_a_dns_server_where_there_is_one() -> None:
    assert "clusterDNS" not in kubelet(topology=Topology.MINIMAL)
    assert kubelet(topology=Topology.STANDARD)["clusterDNS"] == ["10.96.0.10"]


@pytest.mark.parametrize(("minor", "known"), [((1, 30), False), ((1, 31), True)])
def test_a_kubelet_gets_only_fields_that_it_knows(minor: tuple[int, int], known: bool) -> None:
    assert ("failCgroupV1" in kubelet(minor=minor)) is known


@pytest.mark.parametrize(("minor", "alpha"), [((1, 29), True), ((1, 30), True), ((1, 31), False)])
def test_a_kube_proxy_may_use_nftables(minor: tuple[int, int], alpha: bool, tmp_path: Path) -> None:
    made = configuration.kube_proxy(tmp_path, "node1", minor)
    assert made["mode"] == "nftables"
    assert made.get("featureGates", {}).get("NFTablesProxyMode", False) is alpha


@pytest.mark.parametrize("restricted", [True, False])
def test_containerd_gets_valid_toml(restricted: bool) -> None:
    content = configuration.containerd(Path("bin"), Path("cni"), "pause:1", restricted=restricted)
    plugin = tomllib.loads(content)["plugins"]["io.containerd.grpc.v1.cri"]
    assert (plugin["restrict_oom_score_adj"], plugin["sandbox_image"]) == (restricted, "pause:1")


def test_each_node_gives_its_pods_addresses_of_its_own_range() -> None:
    bridge = configuration.pod_network(2)["plugins"][0]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]
