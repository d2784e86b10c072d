"""Container images as OCI image layouts in a tar file, made of static binaries, the same bytes every time.

The format: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubewitness.assets.store import sha256_of

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"  # uncompressed: an import has nothing to inflate
EPOCH: Final = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the archive's one layer: its reference, and what it runs."""

    reference: str
    entrypoint: Sequence[str]
    command: Sequence[str] = ()


def write_archive(target: Path, binary: Path, images: Sequence[Image], architecture: str) -> None:
    """Write images that share one layer: /NAME, the binary, and an empty /tmp."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, "w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        with binary.open("rb") as content:
            tar.addfile(_file(binary.name, binary.stat().st_size, 0o755), content)
    digest = sha256_of(layer)
    descriptor = {"mediaType": LAYER, "digest": f"sha256:{digest}", "size": layer.stat().st_size}
    blobs: dict[str, bytes] = {}
    manifests = [_manifest(image, descriptor, architecture, blobs) for image in images]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index))
        for name, blob in sorted(blobs.items()):
            _add(tar, f"blobs/sha256/{name}", blob)
        _copy(tar, f"blobs/sha256/{digest}", layer)
    layer.unlink()


def write_docker_archive(
    target: Path,
    layers: Sequence[Path],
    references: Sequence[str],
    runs: Mapping[str, Any],
    architecture: str,
) -> None:
    """Write one image of uncompressed tar files in the format that any `docker load` reads, podman's too.

    `runs` is its "config": entrypoint, environment and the like.
    """
    digests = [sha256_of(layer) for layer in layers]
    config = _json(_config(runs, architecture, [f"sha256:{digest}" for digest in digests]))
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = [f"{digest}.tar" for digest in digests]
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "manifest.json", _json([{"Config": name, "RepoTags": list(references), "Layers": files}]))
        _add(tar, name, config)
        for file, layer in zip(files, layers, strict=True):
            _copy(tar, file, layer)


def _manifest(
    image: Image, layer: Mapping[str, Any], architecture: str, blobs: dict[str, bytes]
) -> dict[str, Any]:
    """Put the image's config and manifest into `blobs`; the descriptor for the index."""
    runs = {
        "Entrypoint": list(image.entrypoint), "Cmd": list(image.command), "WorkingDir": "/",
        "Env": ["PATH=/"],
    }  # fmt: skip
    config = _config(runs, architecture, [layer["digest"]])
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": _blob(blobs, CONFIG, config), "layers": [layer],
    }  # fmt: skip
    return _blob(blobs, MANIFEST, manifest) | {
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": image.reference,
        },
    }


def _config(runs: Mapping[str, Any], architecture: str, layers: Sequence[str]) -> dict[str, Any]:
    return {
        "created": EPOCH, "architecture": architecture, "os": "linux", "config": dict(runs),
        "rootfs": {"type": "layers", "diff_ids": list(layers)},
        "history": [{"created": EPOCH, "created_by": "kubewitness"}] * len(layers),
    }  # fmt: skip


def _blob(blobs: dict[str, bytes], media_type: str, value: object) -> dict[str, Any]:
    content = _json(value)
    digest = hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _file(name: str, size: int, mode: int) -> tarfile.TarInfo:
    """The header of a file that belongs to root and is as old as time."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, mode
    return header


def _copy(tar: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as content:
        tar.addfile(_file(name, path.stat().st_size, 0o644), content)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_file(name, len(content), 0o644), io.BytesIO(content))
