"""What kind is asked for, and how a node that joins later is configured."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness.clusters.kind.cluster import BEFORE_KUBEADM, FLAG_GIVER, asked
from kubewitness.clusters.kind.containers import tainted
from kubewitness.clusters.nodeimage import building
from kubewitness.model import needs
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

ADDRESS = "198.18.0.2"


def spec(setup: Setup, version: str = "1.37.2", workers: int = 2) -> ClusterSpec:
    return ClusterSpec(version, Provider.KIND, setup, Topology.STANDARD, workers)


def configured(setup: Setup, version: str = "1.37.2") -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration, and its patches by their kinds."""
    found = asked(spec(setup, version), ADDRESS, Path("shared"))
    patches = [json.loads(each) for each in found["kubeadmConfigPatches"]]
    return found, {each["kind"]: each for each in patches}


@pytest.mark.parametrize("setup", Setup)
def test_a_cluster_has_a_control_plane_and_its_workers_and_is_reached_from_the_host(setup: Setup) -> None:
    found, patches = configured(setup)
    assert [each["role"] for each in found["nodes"]] == ["control-plane", "worker", "worker"]
    assert found["nodes"][0]["extraMounts"][0]["hostPath"] == "shared"
    assert patches["ClusterConfiguration"]["apiServer"]["certSANs"] == ["127.0.0.1", ADDRESS]


def test_only_insecure_speaks_plainly_to_etcd() -> None:
    _, plain = configured(Setup.INSECURE)
    _, encrypted = configured(Setup.TLS)
    etcd = plain["ClusterConfiguration"]["etcd"]["local"]["extraArgs"]
    assert etcd["listen-client-urls"] == etcd["advertise-client-urls"] == "http://127.0.0.1:2379"
    assert plain["ClusterConfiguration"]["apiServer"]["extraArgs"]["etcd-servers"] == "http://127.0.0.1:2379"
    assert "http:" not in json.dumps(encrypted)


def test_kubelets_are_told_to_bear_old_control_groups_since_they_ask() -> None:
    assert configured(Setup.TLS, "1.34.3")[1]["KubeletConfiguration"]["failCgroupV1"] is False
    assert "failCgroupV1" not in configured(Setup.TLS, "1.30.14")[1]["KubeletConfiguration"]


def test_the_insecure_port_is_the_api_servers_own_as_long_as_it_has_one() -> None:
    own = {"insecure-port": "8080", "insecure-bind-address": "0.0.0.0"}  # noqa: S104
    for setup, version, is_open in (
        (Setup.INSECURE, "1.19.16", True), (Setup.TLS, "1.19.16", False), (Setup.INSECURE, "1.34.3", False),
    ):  # fmt: skip
        arguments = configured(setup, version)[1]["ClusterConfiguration"]["apiServer"]["extraArgs"]
        assert (own.items() <= arguments.items()) is is_open


def test_tokens_are_issued_where_kubeadm_does_not_see_to_it() -> None:
    old, new = (
        configured(Setup.TLS, version)[1]["ClusterConfiguration"]["apiServer"]["extraArgs"]
        for version in ("1.19.16", "1.34.3")
    )
    issuing = {"service-account-issuer", "service-account-signing-key-file"}
    assert old.keys() - new.keys() == issuing


def test_kubeadm_is_told_of_its_patches_by_its_file_or_by_a_program_before_it() -> None:
    new, patches = configured(Setup.TLS)
    assert patches["InitConfiguration"]["patches"] == {"directory": "/kubewitness/patches"}
    assert len(new["nodes"][0]["extraMounts"]) == 1
    old, patches = configured(Setup.TLS, "1.19.16")
    assert "InitConfiguration" not in patches
    mount = old["nodes"][0]["extraMounts"][1]
    assert (mount["hostPath"], mount["containerPath"]) == ("shared/kubeadm", BEFORE_KUBEADM)
    assert [each.get("extraMounts") for each in old["nodes"][1:]] == [None, None]


def test_the_program_before_kubeadm_gives_the_flag_to_init_alone(tmp_path: Path) -> None:
    before, after = tmp_path / "before" / "kubeadm", tmp_path / "after" / "kubeadm"
    for path, text in ((before, FLAG_GIVER), (after, '#!/bin/sh\nprintf "%s\\n" "$@"\n')):
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    search = {"PATH": f"{before.parent}:{after.parent}:/usr/bin:/bin"}

    def told(*arguments: str) -> list[str]:
        ended = subprocess.run([before, *arguments], env=search, capture_output=True, text=True, check=True)
        return ended.stdout.split("\n")[:-1]

    assert told("init", "--v=6", "a b") == [
        "init", "--v=6", "a b", "--experimental-patches=/kubewitness/patches"
    ]  # fmt: skip
    assert told("join", "--v=6") == ["join", "--v=6"]


def test_a_node_looks_for_kubeadm_where_that_program_is_before_all() -> None:
    (searched,) = (each for each in building.RUNS["Env"] if each.startswith("PATH="))
    assert searched.removeprefix("PATH=").split(":")[0] == str(Path(BEFORE_KUBEADM).parent)


def test_nodes_have_the_names_that_kind_gives_them() -> None:
    assert spec(Setup.TLS, workers=3).node_names == ("kw-tls-worker", "kw-tls-worker2", "kw-tls-worker3")


def test_what_a_cluster_offers() -> None:
    plain, encrypted = needs.offered(spec(Setup.INSECURE)), needs.offered(spec(Setup.TLS))
    assert {needs.READABLE_TRAFFIC, needs.ETCD_TRAFFIC, needs.INSECURE_PORT} <= plain
    assert needs.ENCRYPTED_TRAFFIC in encrypted
    assert {needs.CSI_DRIVER, needs.SERVICE_PROXY, needs.DISRUPTION, needs.TWO_NODES} <= plain & encrypted
    assert not {needs.SHARED_DISK, needs.NOT_READY_NODE} & (plain | encrypted)


def test_a_node_that_joins_registers_itself_with_taints() -> None:
    joining = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration: {criSocket: it}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
"""
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    join, kubelet = yaml.safe_load_all(tainted(joining, [taint]))
    assert join["nodeRegistration"] == {"criSocket": "it", "taints": [taint]}
    assert kubelet == {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
