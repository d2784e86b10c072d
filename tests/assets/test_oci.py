"""The container images that are written from binaries."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kubewitness.assets import resolve
from kubewitness.assets.oci import Image, write_archive, write_docker_archive
from tests.assets.made_up_go import Go

IMAGES = [Image("example.org/a:1", ["/program"], ["serve"]), Image("example.org/b:2", ["/program", "pause"])]


class Layout:
    """An archive, read by the rules of the OCI image layout."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.files = {member.name: self._content(tar, member) for member in tar}

    @staticmethod
    def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        source = tar.extractfile(member)
        assert source is not None
        return source.read()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        """The content that a descriptor stands for, held against its digest and size."""
        algorithm, digest = descriptor["digest"].split(":")
        content = self.files[f"blobs/{algorithm}/{digest}"]
        assert hashlib.new(algorithm, content).hexdigest() == digest
        assert len(content) == descriptor["size"]
        return content

    def image(self, position: int) -> tuple[dict[str, Any], dict[str, Any], bytes]:
        """Its descriptor, config and layer."""
        descriptor = json.loads(self.files["index.json"])["manifests"][position]
        manifest = json.loads(self.blob(descriptor))
        (layer,) = manifest["layers"]
        return descriptor, json.loads(self.blob(manifest["config"])), self.blob(layer)


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF and more")
    return path


def test_every_blob_has_its_digest(tmp_path: Path, binary: Path) -> None:
    write_archive(tmp_path / "out.tar", binary, IMAGES, "amd64")
    layout = Layout(tmp_path / "out.tar")
    assert json.loads(layout.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for position, image in enumerate(IMAGES):
        descriptor, config, layer = layout.image(position)
        assert descriptor["annotations"] == {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": image.reference,
        }
        assert config["config"]["Entrypoint"] == image.entrypoint
        assert config["config"]["Cmd"] == list(image.command)
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert len(layout.files) == 2 + 2 * len(IMAGES) + 1


def test_layer_holds_the_binary_and_tmp(tmp_path: Path, binary: Path) -> None:
    write_archive(tmp_path / "out.tar", binary, IMAGES, "amd64")
    _, _, layer = Layout(tmp_path / "out.tar").image(0)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert [(member.name, member.mode, member.uid, member.isdir()) for member in tar] == [
            ("tmp", 0o1777, 0, True),
            ("program", 0o755, 0, False),
        ]
        content = tar.extractfile("program")
        assert content is not None
        assert content.read() == binary.read_bytes()


def test_same_bytes_every_time(tmp_path: Path, binary: Path) -> None:
    write_archive(tmp_path / "one.tar", binary, IMAGES, "amd64")
    binary.chmod(0o600)
    write_archive(tmp_path / "two.tar", binary, IMAGES, "amd64")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_agnhost_serves_as_pause_too(go: Go) -> None:
    (go.home / "VERSION").write_text("2.66.1\n")
    assets = resolve("1.37.2", ["agnhost", "coredns"], progress=lambda _: None)
    agnhost = assets.images["registry.k8s.io/e2e-test-images/agnhost:2.66.1"]
    assert assets.images["registry.k8s.io/pause:3.10.2"] == agnhost
    assert Layout(agnhost).image(1)[1]["config"]["Entrypoint"] == ["/agnhost", "pause"]
    assert any(reference.startswith("registry.k8s.io/coredns/coredns:v") for reference in assets.images)
    again = resolve("1.37.2", ["agnhost", "coredns"], progress=pytest.fail)
    assert again.images == assets.images


def test_docker_finds_each_layer_by_the_manifest(tmp_path: Path) -> None:
    layers = [tmp_path / "one", tmp_path / "two"]
    for layer in layers:
        layer.write_text(f"the bytes of {layer.name}")
    runs = {"Entrypoint": ["/sbin/init"], "Env": ["container=docker"]}
    write_docker_archive(tmp_path / "out.tar", layers, ["example.org/a:1"], runs, "amd64")
    files = Layout(tmp_path / "out.tar").files
    (image,) = json.loads(files["manifest.json"])
    assert image["RepoTags"] == ["example.org/a:1"]
    assert [files[name] for name in image["Layers"]] == [layer.read_bytes() for layer in layers]
    config = json.loads(files[image["Config"]])
    assert (config["config"], config["architecture"], config["os"]) == (runs, "amd64", "linux")
    digests = [hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}
    assert len(config["history"]) == len(layers)
