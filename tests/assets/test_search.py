"""Which step of the search wins, and what it says when none does."""

import hashlib
import json
from pathlib import Path

import pytest

from kubewitness.assets import (
    ALL,
    DELAYED_SCHEDULER,
    EXTRA,
    AssetError,
    Origin,
    UnknownVersion,
    images,
    resolve,
)
from kubewitness.model.needs import CSI_DRIVER, SIMULATED_NODES
from tests.assets.made_up_go import Go
from tests.assets.made_up_site import Site


def executable(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def silent(_: str) -> None:
    """Progress is of no interest."""


def test_downloads_what_was_released(site: Site) -> None:
    lines: list[str] = []
    assets = resolve("1.37", ["etcd", "kubectl"], progress=lines.append)
    kubectl, etcd = assets.binaries["kubectl"], assets.binaries["etcd"]
    assert assets.kubernetes == "1.37.2"
    assert (kubectl.origin, kubectl.version) == (Origin.DOWNLOAD, "1.37.2")
    assert (etcd.origin, etcd.version) == (Origin.DOWNLOAD, "3.7.0")
    assert kubectl.path.read_bytes() == b"released kubectl"
    assert etcd.path.read_bytes() == b"released etcd"
    assert kubectl.sha256 == hashlib.sha256(b"released kubectl").hexdigest()
    assert kubectl.path.stat().st_mode & 0o777 == 0o755
    assert [line for line in lines if line.startswith("downloading ") and line.endswith("/kubectl")]
    assert site.asked


def test_cache_answers_without_asking_anybody(site: Site, go: Go) -> None:
    resolve("1.37.2", ["kubectl"], progress=silent)
    asked = list(site.asked)
    lines: list[str] = []
    again = resolve("1.37.2", ["kubectl"], progress=lines.append).binaries["kubectl"]
    assert again.origin is Origin.CACHE
    assert json.loads((again.path.parent / "asset.json").read_bytes())["first_origin"] == "download"
    assert site.asked == asked
    assert not go.builds
    assert lines == []


def test_damaged_cache_entry_is_made_again(site: Site) -> None:
    first = resolve("1.37.2", ["kubectl"], progress=silent).path("kubectl")
    first.write_bytes(b"cut off")
    second = resolve("1.37.2", ["kubectl"], progress=silent).binaries["kubectl"]
    assert second.origin is Origin.DOWNLOAD
    assert second.path.read_bytes() == b"released kubectl"
    assert site.asked


def test_wrong_checksum_is_one_error_and_no_build(site: Site, go: Go, host: Path) -> None:
    site.files["/dl.k8s.io/v1.37.2/bin/linux/amd64/kubectl"] = b"something else"
    with pytest.raises(
        AssetError, match=r"The checksum of http://127.*/kubectl is wrong: .*kubectl.sha256 says"
    ):
        resolve("1.37.2", ["kubectl"], progress=silent)
    assert not go.builds
    assert not list(host.glob("kubectl-*"))
    assert not list(host.glob("work/*"))


def test_what_is_released_without_a_checksum_is_built(site: Site, go: Go) -> None:
    lines: list[str] = []
    kwok = resolve("1.37.2", EXTRA[SIMULATED_NODES], progress=lines.append).binaries["kwok"]
    assert kwok.origin is Origin.BUILD
    assert go.builds[0].endswith(" sigs.k8s.io/kwok/cmd/kwok")
    assert not site.asked
    assert "kwok: download: there is no official one of kwok" in lines


def test_a_delayed_scheduler_is_of_the_clusters_version_and_never_downloaded(go: Go) -> None:
    found = resolve("1.37.2", [DELAYED_SCHEDULER], progress=silent).binaries[DELAYED_SCHEDULER]
    assert (found.origin, found.version) == (Origin.BUILD, "1.37.2")
    assert (go.built / "go.mod").read_text().count("require k8s.io/kubernetes v1.37.2\n") == 1
    assert "app.WithPlugin(name, made)" in (go.built / "main.go").read_text()


def test_what_few_behaviours_need_is_had_when_it_is_named(go: Go) -> None:
    extra = EXTRA[CSI_DRIVER]
    assert not set(extra) & set(ALL)
    assets = resolve("1.37.2", extra, progress=silent)
    assert set(assets.binaries) == {"csi-driver", "csi-provisioner"}
    (build,) = go.builds
    assert build.endswith("external-provisioner/v6/cmd/csi-provisioner kubewitness.example/csi")
    assert set(assets.images) == {images.CSI_DRIVER, images.CSI_PROVISIONER}


def test_builds_what_was_not_released(site: Site, go: Go) -> None:
    assets = resolve("1.37", ["kubectl", "agnhost"], progress=silent)
    assert assets.binaries["kubectl"].origin is Origin.DOWNLOAD
    assert assets.binaries["agnhost"].origin is Origin.BUILD
    assert len(go.builds) == 1
    assert "cmd/kubectl" not in go.builds[0]
    assert site.asked


def test_builds_with_static_linking_and_version_stamps(go: Go) -> None:
    assets = resolve("1.37", ["etcd", "kubelet"], progress=silent)
    assert assets.path("etcd").read_text() == "built go.etcd.io/etcd/server/v3"
    assert assets.path("kubelet").read_text() == "built k8s.io/kubernetes/cmd/kubelet"
    (build,) = go.builds
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in build
    assert "-trimpath" in build


def test_unreachable_host_is_tried_once(go: Go) -> None:
    lines: list[str] = []
    resolve("1.37", ["kubelet", "kubectl", "kube-proxy"], progress=lines.append)
    assert sum("cannot be reached" in line for line in lines) == 1
    assert len(go.builds) == 1


def test_newest_patch_of_a_minor_is_asked_once_a_day(go: Go) -> None:
    assert resolve("1.37", ["kubectl"], progress=silent).kubernetes == "1.37.2"
    assert resolve("1.37", ["kubelet"], progress=silent).kubernetes == "1.37.2"
    assert sum("-versions" in call for call in go.calls) == 1


def test_a_patch_without_all_its_modules_is_passed_over(go: Go) -> None:
    go.miss_modules_of("1.29.15")
    lines: list[str] = []
    assert resolve("1.29", ["kubectl", "etcd"], progress=lines.append).kubernetes == "1.29.6"
    assert "Kubernetes 1.29.15: modules of it are missing, trying 1.29.6" in lines
    asked = len(go.calls)
    assert resolve("1.29", ["kubectl"], progress=silent).kubernetes == "1.29.6"
    assert len(go.calls) == asked


def test_a_patch_that_is_only_heard_of_is_passed_over(go: Go) -> None:
    go.lack_go_mod_of("1.29.15")
    assert resolve("1.29", ["kubectl"], progress=silent).kubernetes == "1.29.6"


def test_a_patch_asked_for_is_not_replaced_by_another(go: Go) -> None:
    go.miss_modules_of("1.29.15")
    with pytest.raises(AssetError, match=r"k8s.io/x@v0.29.15: reading .* 403 Forbidden"):
        resolve("1.29.15", ["kubectl"], progress=silent)


def test_newest_cached_patch_serves_where_nobody_can_be_asked(
    site: Site, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("1.37.2", ["kubectl"], progress=silent)
    assert site.asked
    monkeypatch.setenv("KUBEWITNESS_MIRROR", "http://127.0.0.1:1")
    lines: list[str] = []
    assert resolve("1.37", ["kubectl"], progress=lines.append).path("kubectl").is_relative_to(host)
    assert "the newest in the cache, since there is no Go on PATH" in lines[0]


def test_explicit_directory_wins(tmp_path: Path, site: Site, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = executable(tmp_path / "ours", "kubectl", "Client Version: v1.37.1")
    executable(tmp_path / "theirs", "kubectl", "Client Version: v1.37.0")
    theirs = executable(tmp_path / "theirs", "etcd", "etcd Version: 3.6.0")
    monkeypatch.setenv("KUBEWITNESS_ASSETS", str(tmp_path / "ours"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "theirs"))
    assets = resolve("1.37", ["kubectl", "etcd"], progress=silent)
    assert assets.kubernetes == "1.37.1"
    assert {(asset.path, asset.version, asset.origin) for asset in assets.binaries.values()} == {
        (ours, "1.37.1", Origin.DIRECTORY),
        (theirs, "3.6.0", Origin.DIRECTORY),
    }
    assert (site.asked, go.calls) == ([], [])


def test_explicit_directory_of_another_version_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "ours", "kubectl", "Client Version: v1.36.3")
    monkeypatch.setenv("KUBEWITNESS_ASSETS", str(tmp_path / "ours"))
    with pytest.raises(AssetError, match=r"Kubernetes 1.37 is wanted, but .*/ours/kubectl is 1\.36\.3"):
        resolve("1.37", ["kubectl"], progress=silent)


def test_missing_explicit_directory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEWITNESS_ASSETS", "/nowhere")
    with pytest.raises(AssetError, match="KUBEWITNESS_ASSETS names /nowhere, which is no directory"):
        resolve("1.37", ["kubectl"], progress=silent)


@pytest.mark.parametrize("version", ["1.18", "1.20", "1.28", "1.38", "2.0", "newest", "1.37.x", ""])
def test_unknown_version_lists_the_known(version: str) -> None:
    with pytest.raises(UnknownVersion, match=r"Known are 1\.19, 1\.29, 1\.30, .*1\.37,"):
        resolve(version, progress=silent)


def test_patches_that_no_list_names_any_more_are_known(go: Go) -> None:
    go.fill_module("k8s.io/kubernetes")
    assert resolve("1.19", ["kubectl"], progress=silent).kubernetes == "1.19.16"
    with pytest.raises(UnknownVersion, match=r"1\.19\.17 is not known. Known of 1\.19: 1\.19\.0, 1\.19\.1,"):
        resolve("1.19.17", ["kubectl"], progress=silent)
    assert not any("-versions" in each for each in go.calls)


def test_unknown_patch_lists_the_known(go: Go) -> None:
    with pytest.raises(UnknownVersion, match=r"1\.37\.9 is not known. Known of 1\.37: 1\.37\.1, 1\.37\.2\."):
        resolve("1.37.9", ["kubectl"], progress=silent)
    assert not go.builds


def test_no_go_and_no_network_names_every_step(host: Path) -> None:
    with pytest.raises(AssetError) as caught:
        resolve("1.37.2", ["kubectl"], progress=silent)
    message = str(caught.value)
    assert "kubectl (kubernetes 1.37.2) cannot be had" in message
    assert "directory: not in KUBEWITNESS_ASSETS or KUBEBUILDER_ASSETS" in message
    assert f"cache: not in {host}" in message
    assert "download: 127.0.0.1:" in message
    assert "cannot be reached" in message
    assert "build: there is no Go on PATH" in message
    assert "Install Go" in message


def test_no_way_to_learn_the_patch_is_one_error() -> None:
    with pytest.raises(
        AssetError, match=r"The newest patch of Kubernetes 1\.37 could not be found out: there is no Go"
    ):
        resolve("1.37", ["kubectl"], progress=silent)


def test_system_runc_is_the_last_step(tmp_path: Path, go: Go) -> None:
    runc = executable(tmp_path / "bin", "runc", "runc version 1.1.5+ds1")
    lines: list[str] = []
    found = resolve("1.37.2", ["runc"], progress=lines.append).binaries["runc"]
    assert (found.path, found.origin, found.version) == (runc, Origin.PATH, "1.1.5")
    assert f"runc: using the system's {runc}" in lines[-1]
    assert "there is no C compiler on PATH" in lines[-1]
    assert not go.builds


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(AssetError, match=r"No such asset: kubecuddle\. There are: etcd, kube-apiserver"):
        resolve("1.37", ["kubecuddle"], progress=silent)
    assert len(ALL) == len(set(ALL)) == 20
