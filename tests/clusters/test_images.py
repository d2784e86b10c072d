"""A node's containerd root shares what never changes, and has databases of its own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kubewitness.clusters import images

BLOB = "io.containerd.content.v1.content/blobs/sha256/abc"
DATABASE = "io.containerd.metadata.v1.bolt/meta.db"
FILES = (BLOB, DATABASE, "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/agnhost")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (*FILES, "io.containerd.grpc.v1.introspection/uuid"):
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True)
        file.write_text(name)
    return tmp_path / "root"


def test_only_databases_are_copied(root: Path, tmp_path: Path) -> None:
    images.link(root, tmp_path / "node")
    shared = {name: (tmp_path / "node" / name).samefile(root / name) for name in FILES}
    assert shared == {name: name != DATABASE for name in FILES}
    assert (tmp_path / "node" / DATABASE).read_text() == DATABASE


def test_a_nodes_identity_is_its_own(root: Path, tmp_path: Path) -> None:
    images.link(root, tmp_path / "node")
    assert not (tmp_path / "node" / "io.containerd.grpc.v1.introspection").exists()


def test_another_file_system_gets_copies(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    images.link(root, tmp_path / "node")
    assert (tmp_path / "node" / BLOB).read_text() == BLOB
    assert not (tmp_path / "node" / BLOB).samefile(root / BLOB)
