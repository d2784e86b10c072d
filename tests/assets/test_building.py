"""A build that fails, is interrupted, or is wanted twice at once."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kubewitness.assets import AssetError, Origin, resolve
from kubewitness.assets.building import go_mod
from kubewitness.assets.generating import asks
from kubewitness.assets.recipes import bundles
from tests.assets.made_up_go import WRITES_KEYS, Go

RESOLVE_KUBECTL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever this test was started with
from kubewitness.assets import resolve
found = resolve("1.37.2", ["kubectl"], progress=lambda line: print(line, flush=True))
print(found.binaries["kubectl"].origin)
"""


def start_resolving() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RESOLVE_KUBECTL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_two_that_ask_at_once_build_once(go: Go) -> None:
    go.hold_builds()
    with start_resolving() as first:
        go.await_build()
        lines: list[str] = []
        waiting = threading.Event()

        def progress(line: str) -> None:
            lines.append(line)
            waiting.set()

        origins: list[Origin] = []
        second = threading.Thread(
            target=lambda: origins.append(
                resolve("1.37.2", ["kubectl"], progress=progress).binaries["kubectl"].origin
            )
        )
        second.start()
        assert waiting.wait(10)
        go.let_go()
        out, _ = first.communicate(timeout=10)
        second.join(10)
    assert "another process is making it; waiting for" in lines[0]
    assert out.endswith("build\n")
    assert origins == [Origin.CACHE]
    assert len(go.builds) == 1


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_build_leaves_no_entry_and_the_next_run_succeeds(
    go: Go, host: Path, by: signal.Signals
) -> None:
    go.hold_builds()
    with start_resolving() as interrupted:
        go.await_build()
        interrupted.send_signal(by)
        interrupted.communicate(timeout=10)
    assert not list(host.glob("kubectl-*"))
    if by is signal.SIGINT:
        assert not is_alive(go.pids[-1])
        assert not list(host.glob("work/*"))
    else:
        os.kill(go.pids[-1], signal.SIGKILL)  # the real one ends at its next line, whose reader is gone
    (go.home / "gate").unlink()
    found = resolve("1.37.2", ["kubectl"], progress=lambda _: None).binaries["kubectl"]
    assert found.origin is Origin.BUILD
    assert not list(host.glob("work/*"))


def test_leftovers_of_other_bundles_are_removed(go: Go, host: Path) -> None:
    abandoned = host / "work" / "cni-1.9.1"
    abandoned.mkdir(parents=True)
    (abandoned / "half").write_text("a binary")
    (host / "locks").mkdir()
    resolve("1.37.2", ["kubectl"], progress=lambda _: None)
    assert not abandoned.exists()
    assert go.builds


def test_full_disk_is_one_message(go: Go, host: Path, tmp_path: Path) -> None:
    go.complain(f"k8s.io/api/core/v1: write {tmp_path}/go-build/b001/_pkg_.a: no space left on device\n")
    with pytest.raises(AssetError) as caught:
        resolve("1.37.2", ["kubectl"], progress=lambda _: None)
    message = str(caught.value)
    assert message.startswith(
        f"No space left while building kubernetes: the file system that holds {tmp_path} has"
    )
    assert "GB free, about" in message
    assert "GB are needed" in message
    assert not list(host.glob("kubectl-*"))
    assert not list(host.glob("work/*"))


def test_full_disk_of_our_own_writing_is_the_same_message(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kubewitness.assets.images.write_archive", full)
    with pytest.raises(AssetError, match="No space left while filling the cache: the file system that holds"):
        resolve("1.37.2", ["agnhost"], progress=lambda _: None)
    assert go.builds


def test_failed_build_tells_what_go_said(go: Go) -> None:
    go.complain("runtime\nk8s.io/api/core/v1\n# k8s.io/made/up\nx.go:1:1: undefined: y\n")
    with pytest.raises(AssetError, match=r"- build: # k8s.io/made/up; x.go:1:1: undefined: y\n"):
        resolve("1.37.2", ["kubectl"], progress=lambda _: None)


def test_go_mod_repeats_what_go_heeds_of_the_main_module_alone() -> None:
    upstream = {
        "Go": "1.23.0",
        "GoDebug": [{"Key": "default", "Value": "go1.23"}],
        "Replace": [
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
            {"Old": {"Path": "example.org/a"}, "New": {"Path": "example.org/b", "Version": "v1.2.3"}},
        ],
    }
    assert go_mod(bundles("1.32.13")[0], upstream) == (
        "module kubewitness.example/kubernetes\n"
        "go 1.23.0\n"
        "godebug default=go1.23\n"
        "require k8s.io/kubernetes v1.32.13\n"
        "replace k8s.io/api => k8s.io/api v0.32.13\n"
        "replace example.org/a => example.org/b v1.2.3\n"
    )


def test_go_mod_replaces_what_an_old_version_pins_and_is_to_be_had_no_more() -> None:
    pinned = {"Old": {"Path": "vbom.ml/util"}, "New": {"Path": "vbom.ml/util", "Version": "v0.0.0"}}
    lines = go_mod(bundles("1.19.16")[0], {"Go": "1.15", "Replace": [pinned]}).splitlines()
    of_it = [each for each in lines if each.startswith("replace vbom.ml/util ")]
    assert of_it == ["replace vbom.ml/util => github.com/fvbommel/util v0.0.0-20180919145318-efcd4e0f9787"]
    assert "replace golang.org/x/sys => golang.org/x/sys v0.30.0" in lines


def test_a_package_that_is_not_published_is_generated_into_a_copy_of_its_module(go: Go) -> None:
    go.fill_module("k8s.io/kubernetes")
    resolve("1.19.16", ["kubectl"], progress=lambda _: None)
    assert (go.built / "go.mod").read_text().endswith("\nreplace k8s.io/kubernetes => ./module\n")
    package = go.built / "module" / "pkg" / "generated" / "openapi"
    assert (package / "doc.go").read_text() == "package openapi // of k8s.io/kubernetes\n"
    assert (package / "zz_generated.go").read_text() == "made of k8s.io/kubernetes/cmd/kubectl"


def test_only_a_comment_that_begins_with_the_tag_asks_for_a_package(tmp_path: Path) -> None:
    (tmp_path / "doc.go").write_text('var tag = "+k8s:openapi-gen=true" // not +k8s:openapi-gen=true\n')
    assert not asks(tmp_path, "+k8s:openapi-gen=true")
    (tmp_path / "doc.go").write_text("package made\n// +k8s:openapi-gen=true\n")
    assert asks(tmp_path, "+k8s:openapi-gen=true")


def test_a_bundle_whose_package_nobody_asks_for_fails(go: Go) -> None:
    with pytest.raises(AssetError, match=r"no package asks for k8s\.io/kubernetes/pkg/generated/openapi"):
        resolve("1.19.16", ["kubectl"], progress=lambda _: None)
    assert not go.builds


def test_a_binary_of_a_commit_has_the_version_of_its_release(go: Go) -> None:
    go.fill_module("k8s.io/kubernetes")
    go.list_version("v0.5.0-alpha.5.0.20200819165624-17cef6e3e9d5")
    found = resolve("1.19.16", ["etcd", "agnhost"], progress=lambda _: None).binaries
    assert found["etcd"].version == "3.4.12"
    assert found["agnhost"].version.startswith("0.5.0-alpha")  # of which there is no release


@pytest.mark.parametrize(
    ("kubernetes", "containerd", "coredns"), [("1.19.16", "1.7", "1.10"), ("1.29.6", "2.4", "1.14")]
)
def test_old_clusters_get_what_speaks_to_them(kubernetes: str, containerd: str, coredns: str) -> None:
    versions = {each.name: each.version.rpartition(".")[0] for each in bundles(kubernetes)}
    assert (versions["containerd"], versions["coredns"]) == (containerd, coredns)


def test_an_api_server_that_logs_keys_is_built_with_another_crypto_tls(go: Go) -> None:
    tls = go.have_tls(WRITES_KEYS)
    found = resolve("1.37.2", ["kube-apiserver-key-log"], progress=print).binaries
    assert found["kube-apiserver-key-log"].path.read_text() == "built k8s.io/kubernetes/cmd/kube-apiserver"
    assert "-overlay" in go.builds[0]
    replaced = json.loads((go.built / "overlay.json").read_text())["Replace"]
    assert list(replaced) == [str(tls / "common.go"), str(tls / "key_log_of_environment.go")]
    changed = (go.built / "tls-common.go.txt").read_text()
    assert "writer.Write(logLine)" in changed
    assert "writer = keyLogOfEnvironment()" in changed
    assert "c.KeyLogWriter.Write" not in changed
    assert "SSLKEYLOGFILE" in (go.built / "tls-key_log_of_environment.go.txt").read_text()


def test_a_crypto_tls_that_is_not_as_expected_is_told(go: Go) -> None:
    go.have_tls("func (c *Config) writeKeyLogs() {}")
    with pytest.raises(AssetError, match=r"has 0 times .* wanted is once"):
        resolve("1.37.2", ["kube-apiserver-key-log"], progress=print)
