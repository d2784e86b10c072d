"""An emulated node gets what its components name, no key of others, and disks that nobody writes to."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kubewitness.assets import Assets
from kubewitness.clusters import doctor, emulated, runs
from kubewitness.clusters.api import Api
from kubewitness.clusters.components import Components
from kubewitness.clusters.emulated import Emulated
from kubewitness.clusters.errors import ClusterError, HostLacks
from kubewitness.clusters.guest import Guest
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.needs import KERNEL_ISCSI, KERNEL_NFS, offered
from tests.clusters.conftest import MadeUpCluster

NODES = 2


class Died:
    """A keeper of whose processes one may have died."""

    def __init__(self, told: str) -> None:
        self._told = told

    def died(self) -> str:
        return self._told


@pytest.fixture(params=list(Setup))
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Emulated:
    """Two emulated nodes beside two others."""
    spec = ClusterSpec("1.37", Provider.LOCAL, request.param, Topology.STANDARD, NODES, emulated=2)
    run = runs.Run("abcdef", tmp_path / "abcdef")
    (run.directory / "nodes").mkdir(parents=True)
    (run.directory / "resolv.conf").touch()
    parts = Components.make(spec, run.directory, run.directory / "bin", run.cgroup, "198.18.0.2")
    assets = Assets("1.37.2", {}, {"registry.k8s.io/pause:1": Path("pause.tar")})
    return Emulated(spec, run, parts, assets, cast("Any", Died("")))


def test_their_numbers_follow_those_of_the_others(nodes: Emulated) -> None:
    assert list(nodes.numbers) == [3, 4]
    assert nodes.spec.node_names == ("node1", "node2")


def test_a_node_has_every_file_that_its_components_name(nodes: Emulated) -> None:
    entries = {each.path.removeprefix("cluster"): each.data for each in nodes._files(3)}
    named = {
        value
        for path, data in entries.items()
        if path.endswith(".json")
        for value in _texts(json.loads(data))
        if value.startswith(str(nodes.run.directory))
    }
    scripts = "".join(
        entries[f"/kubewitness/{name}"].decode() for name in ("containerd", "kubelet", "kube-proxy")
    )
    arguments = {each for each in scripts.split() if each.startswith(str(nodes.run.directory))}
    binaries = str(nodes.parts.binaries)
    assert named
    assert {each for each in named | arguments if not each.startswith(binaries)} <= set(entries)
    assert entries[binaries] == b"/node/bin"


def test_a_node_has_no_key_of_others(nodes: Emulated) -> None:
    for number in nodes.numbers:
        list(nodes._files(number))  # now there are keys of both
    held = {Path(each.path).name for each in nodes._files(3) if each.path.endswith(".key")}
    assert held
    assert all(name.startswith(("node3.", "node3-")) for name in held)


def _texts(content: object) -> Iterator[str]:
    match content:
        case str():
            yield content
        case list():
            for each in content:
                yield from _texts(each)
        case dict():
            yield from _texts([*content.values()])


def test_disks_are_shared_since_nothing_is_written_to_them() -> None:
    disks = Guest(*(Path("/cache,1") / name for name in ("vmlinuz", "initramfs", "root.ext4", "node.ext4")))
    arguments = emulated.machine(4, disks, Path("/run/initramfs"), [Path("/run/a,b.log")])
    drives = [value for option, value in itertools.pairwise(arguments) if option == "-drive"]
    assert [each.rpartition("/")[2] for each in drives] == ["root.ext4", "node.ext4"]
    assert all("snapshot=on" in each and "file=/cache,,1/" in each for each in drives)
    assert "file,id=log1,path=/run/a,,b.log" in arguments


def test_a_ready_node_is_waited_for_no_longer(
    nodes: Emulated, made_up: MadeUpCluster, credentials: Path
) -> None:
    for number in nodes.numbers:
        made_up.node(f"node{number}")
    nodes.wait(Api(credentials))


def test_a_machine_that_died_ends_the_wait(
    nodes: Emulated, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "_LOOK_S", 0.01)
    monkeypatch.setattr(nodes, "keeper", Died("qemu/node3 has ended by itself with status 1"))
    with pytest.raises(ClusterError, match="qemu/node3 has ended by itself"):
        nodes.wait(Api(credentials))


def test_what_a_host_lacks_for_them_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(name: str, **_: object) -> str | None:
        return None if name == emulated.QEMU else f"/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)
    assert emulated.QEMU not in {each.what for each in doctor.examine("1.37")}
    with pytest.raises(HostLacks, match="not on PATH; install the package qemu-system-x86"):
        doctor.require("1.37", emulated_nodes=True)


@pytest.mark.parametrize(("number", "more"), [(0, set()), (1, {KERNEL_NFS, KERNEL_ISCSI})])
def test_a_cluster_with_them_mounts_more(number: int, more: set[str]) -> None:
    spec = ClusterSpec("1.37", Provider.LOCAL, Setup.TLS, Topology.STANDARD, NODES, emulated=number)
    assert offered(spec) & {KERNEL_NFS, KERNEL_ISCSI} == more
