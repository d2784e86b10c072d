"""Command lines and files: what an old version is given that a new one is not, and the other way round."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters import doctor
from kubewitness.clusters.components import Components
from kubewitness.clusters.errors import HostLacks
from kubewitness.model.cluster import ClusterSpec, EngineName, InsecurePort, Provider, Setup, Topology

TAINT = {"key": "kubewitness.example/only", "value": "me", "effect": "NoSchedule"}


def parts(version: str, setup: Setup, directory: Path) -> Components:
    spec = ClusterSpec(version, Provider.LOCAL, setup, Topology.STANDARD)
    return Components.make(spec, directory, directory / "bin", "kw", "198.18.0.2")


def texts(argv: list[str | Path]) -> list[str]:
    return [str(each) for each in argv]


def kubelet(version: str, directory: Path) -> tuple[list[str], dict[str, Any]]:
    argv = texts(parts(version, Setup.TLS, directory).kubelet(1, [TAINT]))
    return argv, json.loads(Path(argv[argv.index("--config") + 1]).read_text())


@pytest.mark.parametrize(
    ("version", "setup", "port"),
    [
        ("1.19", Setup.INSECURE, InsecurePort.REAL),
        ("1.19.16", Setup.INSECURE, InsecurePort.REAL),
        ("1.29", Setup.INSECURE, InsecurePort.RELAY),
        ("1.19", Setup.TLS, InsecurePort.NONE),
        ("1.37", Setup.TLS, InsecurePort.NONE),
    ],
)
def test_who_serves_plaintext(version: str, setup: Setup, port: InsecurePort) -> None:
    assert ClusterSpec(version, Provider.LOCAL, setup, Topology.MINIMAL).insecure_port is port


@pytest.mark.parametrize(
    ("version", "setup", "flags"),
    [
        ("1.19", Setup.INSECURE, ["--insecure-port=8080", "--insecure-bind-address=0.0.0.0"]),
        ("1.19", Setup.TLS, ["--insecure-port=0"]),
        ("1.37", Setup.INSECURE, []),
        ("1.37", Setup.TLS, []),
    ],
)
def test_an_insecure_port_is_open_where_it_is_wanted_and_closed_elsewhere(
    version: str, setup: Setup, flags: list[str], tmp_path: Path
) -> None:
    argv = texts(parts(version, setup, tmp_path).apiserver())
    assert [each for each in argv if each.startswith("--insecure-")] == flags


@pytest.mark.parametrize(
    ("version", "setup", "wide"),
    [("1.19", Setup.INSECURE, False), ("1.37", Setup.INSECURE, True), ("1.37", Setup.TLS, False)],
)
def test_a_relay_may_have_many_streams(version: str, setup: Setup, wide: bool, tmp_path: Path) -> None:
    argv = texts(parts(version, setup, tmp_path).apiserver())
    assert ("--http2-max-streams-per-connection=1000" in argv) is wide


@pytest.mark.parametrize(("version", "closed"), [("1.19", True), ("1.29", False)])
def test_control_loops_serve_no_plaintext(version: str, closed: bool, tmp_path: Path) -> None:
    made = parts(version, Setup.INSECURE, tmp_path)
    for argv in (made.scheduler(), made.controller_manager()):
        assert ("--port=0" in argv) is closed


def test_a_new_kubelet_reads_its_runtime_and_its_taints_from_its_file(tmp_path: Path) -> None:
    argv, file = kubelet("1.29", tmp_path)
    assert file["containerRuntimeEndpoint"] == "unix:///run/containerd/containerd.sock"
    assert file["registerWithTaints"] == [TAINT]
    assert not [each for each in argv if "runtime" in each or "taints" in each]


def test_an_old_kubelet_is_told_them_by_flags(tmp_path: Path) -> None:
    argv, file = kubelet("1.19", tmp_path)
    assert {"containerRuntimeEndpoint", "registerWithTaints", "failCgroupV1"}.isdisjoint(file)
    assert "--container-runtime=remote" in argv
    assert "--container-runtime-endpoint=unix:///run/containerd/containerd.sock" in argv
    assert "--register-with-taints=kubewitness.example/only=me:NoSchedule" in argv


def test_an_old_kube_proxy_takes_iptables_which_the_doctor_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = texts(parts("1.19", Setup.TLS, tmp_path).proxy(1))
    file = json.loads(Path(argv[argv.index("--config") + 1]).read_text())
    assert file["mode"] == "iptables"
    assert "featureGates" not in file

    def which(name: str, **_: object) -> str | None:
        return None if name == "iptables" else f"/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)
    with pytest.raises(HostLacks, match="iptables: not on PATH; install the package iptables"):
        doctor.require("1.19.16")
    for version, topology in (("1.19", Topology.MINIMAL), ("1.29", Topology.STANDARD)):
        assert "iptables" not in {each.what for each in doctor.examine(version, topology)}
    assert "iptables" not in {
        each.what for each in doctor.examine("1.19", engine=EngineName.OWN)
    }  # nodes have their own
