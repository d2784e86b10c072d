"""What a node image holds, and when it is another. A cluster proves that it works."""

from __future__ import annotations

import json
import os
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kubewitness import cli
from kubewitness.assets import Asset, AssetError, Assets, Origin
from kubewitness.clusters.nodeimage import building, system

PAUSE = "registry.k8s.io/pause:3.10"
WANTED = ["registry.k8s.io/kube-proxy:v1.37.2", "registry.k8s.io/coredns/coredns:v1.2.3", PAUSE]
NAMES = (*building.BINARIES, *building.PLUGINS, "kube-proxy", "coredns", "agnhost")
# Of a real node: a library of its own name, one found by it, and what the kernel maps.
LDD = """\
/usr/sbin/nft:
\tlinux-vdso.so.1 (0x00007ffd3a9f2000)
\tlibnftables.so.1 => /lib/x86_64-linux-gnu/libnftables.so.1 (0x00007f1b1c200000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1b1c01f000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1b1c31b000)
/usr/sbin/conntrack:
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f9a2d01f000)
"""


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    binaries = {}
    for name in NAMES:
        path = tmp_path / "assets" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        binaries[name] = Asset(name, path, "1.37.2", Origin.CACHE, f"sum of {name}")
    kubeadm = binaries["kubeadm"].path
    kubeadm.write_text(
        f'#!/bin/sh\ntest "$4" = --kubernetes-version=v1.37.2 && printf "{" ".join(WANTED)}\\n"\n'
    )
    kubeadm.chmod(0o700)
    return Assets("1.37.2", binaries, {"example.org/a:1": tmp_path / "a.tar"})


@pytest.fixture
def node(assets: Assets, tmp_path: Path) -> Path:
    building.lay_out(tmp_path / "node", assets, PAUSE)
    return tmp_path / "node"


def test_programs_are_where_units_and_the_runtime_look_for_them(node: Path) -> None:
    plugin = tomllib.loads((node / "etc/containerd/config.toml").read_text())
    cri = plugin["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"]
    started = [
        line.split("=", 1)[1].split()[0]
        for unit in (node / "etc/systemd/system").glob("*.service")
        for line in unit.read_text().splitlines()
        if line.startswith(("ExecStart=", "ExecStartPre="))
    ]
    assert {*started} > {"/usr/local/bin/kubelet", "/usr/local/bin/containerd"}
    programs = [*started, runc, *building.RUNS["Entrypoint"][:1]]
    programs += [f"{cri['cni']['bin_dir']}/{name}" for name in building.PLUGINS]
    assert [each for each in programs if not os.access(f"{node}{each}", os.X_OK)] == []
    assert (cri["sandbox_image"], cri["restrict_oom_score_adj"]) == (PAUSE, False)


def test_both_services_start_with_the_node(node: Path) -> None:
    wants = node / "etc/systemd/system/multi-user.target.wants"
    assert sorted(each.name for each in wants.iterdir()) == ["containerd.service", "kubelet.service"]
    assert all(each.resolve().is_file() for each in wants.iterdir())


def test_kind_finds_what_it_reads(node: Path) -> None:
    assert (node / "kind/version").read_text() == "v1.37.2\n"
    network = [*yaml.safe_load_all((node / "kind/manifests/default-cni.yaml").read_text())]
    (daemons,) = (each for each in network if each["kind"] == "DaemonSet")
    (container,) = daemons["spec"]["template"]["spec"]["containers"]
    assert container["image"] == PAUSE
    assert os.access(f"{node}{container['command'][0]}", os.X_OK)
    storage = yaml.safe_load((node / "kind/manifests/default-storage.yaml").read_text())
    assert (storage["kind"], storage["metadata"]["name"]) == ("StorageClass", "standard")


def test_the_dns_server_may_read_what_it_reads_also_where_kubeadm_does_not_see_to_it(
    assets: Assets, tmp_path: Path
) -> None:
    kinds = {}
    for version in ("1.19.16", "1.37.2"):
        building.lay_out(tmp_path / version, replace(assets, kubernetes=version), PAUSE)
        manifests = tmp_path / version / "kind/manifests"
        objects = [*yaml.safe_load_all((manifests / "default-storage.yaml").read_text())]
        kinds[version] = [each["kind"] for each in objects]
        assert sorted(each.name for each in manifests.iterdir()) == [
            "default-cni.yaml",
            "default-storage.yaml",
        ]
    assert kinds == {
        "1.19.16": ["StorageClass", "ClusterRole", "ClusterRoleBinding"], "1.37.2": ["StorageClass"]
    }  # fmt: skip


def test_nodes_have_git_as_long_as_kubelets_call_it() -> None:
    assert [minor for minor in range(19, 38) if "git" in system.packages((1, minor))] == [*range(19, 33)]


def test_images_bear_the_names_that_kubeadm_wants(assets: Assets, tmp_path: Path) -> None:
    tools = tmp_path / "tools.tar"
    with tarfile.open(tools, "w") as tar:
        tar.addfile(tarfile.TarInfo("usr/sbin/nft"))
    assert building.wanted(assets) == WANTED
    proxy, dns, pause = building.archives(WANTED, assets, tools, tmp_path)
    with tarfile.open(proxy) as tar:
        (image,) = json.loads(member(tar, "manifest.json"))
        assert image["RepoTags"] == WANTED[:1]
        with tarfile.open(fileobj=tar.extractfile(image["Layers"][0])) as layer:
            assert layer.getnames() == ["usr/sbin/nft"]
        with tarfile.open(fileobj=tar.extractfile(image["Layers"][1])) as layer:
            assert layer.getmember("./usr/local/bin/kube-proxy").mode & 0o111
    assert names_of(dns) == WANTED[1:2]
    assert names_of(pause) == [PAUSE]


def member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content
    return content.read()


def names_of(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        index = json.loads(member(tar, "index.json"))
    return [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]]


def test_a_nodes_var_has_no_images(tmp_path: Path) -> None:
    root = tmp_path / "root"
    snapshots = "io.containerd.snapshotter.v1.overlayfs/snapshots"
    (root / snapshots / "7" / "fs").mkdir(parents=True)
    building.lay_out_images(tmp_path / "tree", root)
    link = tmp_path / "tree/var/lib/containerd" / snapshots / "7"
    assert link.readlink() == Path("/kind/snapshots/7")
    assert (tmp_path / "tree/kind/snapshots/7/fs").is_dir()


def test_an_image_is_another_with_each_of_its_parts(assets: Assets) -> None:
    changed = dict(assets.binaries)
    changed["kubelet"] = replace(changed["kubelet"], sha256="another")
    parts = [
        building.made_of(assets, Path("system-1/system.tar")),
        building.made_of(assets, Path("system-2/system.tar")),
        building.made_of(replace(assets, binaries=changed), Path("system-1/system.tar")),
        building.made_of(replace(assets, kubernetes="1.37.1"), Path("system-1/system.tar")),
        building.made_of(replace(assets, images={}), Path("system-1/system.tar")),
    ]
    assert len({repr(each) for each in parts}) == len(parts)
    assert building.made_of(assets, Path("system-1/system.tar")) == parts[0]


def test_a_layer_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name, order in (("one", "ab"), ("two", "ba")):
        (tmp_path / name).mkdir()
        for each in order:
            (tmp_path / name / each).write_text(each)
        system.archive(tmp_path / name, tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_libraries_are_those_that_the_loader_finds() -> None:
    assert system.libraries(LDD) == [
        "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libnftables.so.1",
        "lib64/ld-linux-x86-64.so.2",
    ]  # fmt: skip


def test_a_command_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(AssetError, match=r"`sh -c .*` ended with status 3: no such thing"):
        system.call("sh", "-c", "echo no such thing >&2; exit 3")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--output", "/no/such/place/image.tar"], 2, "name a file in a directory that exists"),
        (["--load", "docker"], 3, "there is no docker on PATH"),
    ],
)
def test_what_would_be_in_vain_is_told_at_once(
    arguments: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "")
    assert cli.main(["images", "node", *arguments]) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["images"], ["images", "node", "--load", "rkt"], ["images", "pod"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert "usage: kubewitness images" in capsys.readouterr().err
