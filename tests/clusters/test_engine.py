"""The engine's wrapper of runc, its archives and its data root, without an engine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters.errors import UsageError
from kubewitness.clusters.kind import clamp, own
from kubewitness.clusters.kind.engine import Archive, made_of

PROCESS = {
    "args": ["/sbin/init"],
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1 << 20, "soft": 1 << 20}],
    "oomScoreAdj": -999,
    "capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"], "ambient": None},
}
CLAMPED = {
    "args": ["/sbin/init"],
    "oomScoreAdj": 0,
    "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": []},
}


def clamped(directory: Path, *arguments: str) -> str:
    """What a runc that only prints its arguments was given."""
    runc = directory / "runc"
    runc.write_text('#!/bin/sh\necho "$@"\n')
    runc.chmod(0o755)
    argv = [sys.executable, "-I", "-S", clamp.__file__, str(runc), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=directory).stdout.strip()


def test_a_container_asks_for_nothing_that_the_host_does_not_allow(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"ociVersion": "1.0.2", "process": PROCESS, "root": {"path": "rootfs"}}))
    arguments = ("--root", "/run/runc", "create", "--bundle", str(tmp_path), "it")
    assert clamped(tmp_path, *arguments) == " ".join(arguments)
    assert json.loads(config.read_text()) == {
        "ociVersion": "1.0.2", "process": CLAMPED, "root": {"path": "rootfs"},
    }  # fmt: skip


@pytest.mark.parametrize("option", [("--process", "{}"), ("--process={}",), ("-p", "{}")], ids=str)
def test_neither_does_what_is_executed_in_one(tmp_path: Path, option: tuple[str, ...]) -> None:
    process = tmp_path / "process.json"
    process.write_text(json.dumps(PROCESS))
    clamped(tmp_path, "exec", *(each.format(process) for each in option), "it")
    assert json.loads(process.read_text()) == CLAMPED


def test_all_else_is_passed_on(tmp_path: Path) -> None:
    assert clamped(tmp_path, "kill", "--all", "it", "9") == "kill --all it 9"


def saved(file: Path, **files: Any) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"{name}.json")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


CONFIG = {"rootfs": {"diff_ids": ["sha256:1"]}, "config": {"Entrypoint": ["/it"], "Env": ["A=b"]}}


def test_an_archive_tells_its_images_name_and_what_it_is_made_of(tmp_path: Path) -> None:
    manifest = [{"Config": "c0ffee.json", "RepoTags": ["a/node:v1.37.2"], "Layers": []}]
    found = Archive.read(saved(tmp_path / "node.tar", manifest=manifest, c0ffee=CONFIG))
    assert (found.reference, found.digest) == ("a/node:v1.37.2", "c0ffee")
    assert found.made_of == made_of(["sha256:1"], {"Entrypoint": ["/it"], "Env": ["A=b"], "Labels": None})
    assert found.made_of != made_of(["sha256:1"], {"Entrypoint": ["/other"], "Env": ["A=b"]})


@pytest.mark.parametrize(
    "manifest", [[], {}, [{"RepoTags": None}], [{"Config": "c.json", "RepoTags": None}]], ids=str
)
def test_what_names_no_image_is_no_archive(tmp_path: Path, manifest: Any) -> None:
    archive = saved(tmp_path / "node.tar", manifest=manifest, c=CONFIG)
    with pytest.raises(UsageError, match="is no archive of a named image"):
        Archive.read(archive)


def test_neither_is_a_file_of_any_kind_or_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    for name in ("text", "missing"):
        with pytest.raises(UsageError, match=f"{name} is no archive"):
            Archive.read(tmp_path / name)


def test_a_data_root_shares_layers_and_copies_databases(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for file in ("overlay2/a/diff/bin/sh", "volumes/metadata.db"):
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text(file)
    os.chown(root / "overlay2/a/diff", 0, 8)
    own.link(root, tmp_path / "own")
    assert (tmp_path / "own/overlay2/a/diff/bin/sh").samefile(root / "overlay2/a/diff/bin/sh")
    assert (tmp_path / "own/overlay2/a/diff").stat().st_gid == 8
    copied = tmp_path / "own/volumes/metadata.db"
    assert copied.read_text() == "volumes/metadata.db"
    assert not copied.samefile(root / "volumes/metadata.db")
