"""What a host's nodes can mount, told from its kernel and its programs; and who learns of it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.clusters import mounting
from kubewitness.clusters.components import Components
from kubewitness.model import needs
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

Install = Callable[..., None]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without a single module or program, whose kernel has ext4 alone."""
    (tmp_path / "filesystems").write_text("nodev\tsysfs\n\text4\n")
    for name in ("modules", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(mounting, "_FILE_SYSTEMS", tmp_path / "filesystems")
    monkeypatch.setattr(mounting, "_MODULES", tmp_path / "modules")
    monkeypatch.setattr(mounting, "_PLACES", str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def install(host: Path) -> Install:
    def add(name: str, does: str = "exit 0") -> None:
        program = host / "bin" / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return add


def mountable() -> tuple[str, ...]:
    return mounting.mountable.__wrapped__()


def test_programs_alone_mount_nothing(install: Install) -> None:
    for client in mounting.CLIENTS.values():
        for name in client.programs:
            install(name)
    assert mountable() == ()


def test_a_kernel_alone_mounts_nothing(host: Path) -> None:
    (host / "filesystems").write_text("nodev\tnfs4\nnodev\tfuse\n")
    (host / "modules" / "rbd").mkdir()
    assert mountable() == ()


def test_what_is_built_in_or_loaded_is_mounted(host: Path, install: Install) -> None:
    (host / "filesystems").write_text("nodev\tfuse\n")
    (host / "modules" / "nfsv4").mkdir()
    install("mount.glusterfs")
    install("mount.nfs4")
    assert mountable() == ("nfs", "glusterfs")


def test_what_can_be_loaded_is_mounted(install: Install) -> None:
    install("modprobe", 'test "$*" = "--dry-run --quiet rbd"')
    install("rbd")
    install("mount.nfs4")
    assert mountable() == ("rbd",)


def test_iscsi_is_never_mounted_by_nodes_in_namespaces() -> None:
    assert set(needs.MOUNTS) - set(mounting.CLIENTS) == {"iscsi"}


@pytest.mark.parametrize(
    ("mounts", "wanted"),
    [((), set()), (("nfs", "glusterfs"), {needs.KERNEL_NFS, needs.KERNEL_FUSE})],
    ids=["nothing", "two"],
)
def test_a_cluster_offers_what_its_nodes_mount(mounts: tuple[str, ...], wanted: set[str]) -> None:
    spec = ClusterSpec("1.37", Provider.LOCAL, Setup.TLS, Topology.STANDARD, 3, mounts)
    assert needs.offered(spec) & set(needs.MOUNTS.values()) == wanted


@pytest.mark.parametrize(
    ("version", "more"), [("1.30", {needs.KERNEL_RBD}), ("1.31", set()), ("1.37.2", set())]
)
def test_a_cluster_offers_what_its_emulated_nodes_mount(version: str, more: set[str]) -> None:
    spec = ClusterSpec(
        version, Provider.LOCAL, Setup.TLS, Topology.STANDARD, mounts=("glusterfs",), emulated=1
    )
    offered = {needs.KERNEL_FUSE, needs.KERNEL_NFS, needs.KERNEL_ISCSI}
    assert needs.offered(spec) & set(needs.MOUNTS.values()) == offered | more


@pytest.mark.parametrize(
    ("mounts", "wanted"),
    [
        ((), ""),
        (("nfs", "rbd"), "kubewitness.example/mounts-nfs=true,kubewitness.example/mounts-rbd=true"),
    ],
    ids=["nothing", "two"],
)
def test_a_nodes_labels_say_what_it_mounts(tmp_path: Path, mounts: tuple[str, ...], wanted: str) -> None:
    spec = ClusterSpec("1.37", Provider.LOCAL, Setup.INSECURE, Topology.STANDARD)
    parts = Components.make(spec, tmp_path, tmp_path / "bin", "kubewitness/x", "198.18.0.2")
    assert f"--node-labels={wanted}" in parts.kubelet(1, mounts=mounts)
