"""A containerd root that holds every image, unpacked: made once, then linked into each node.

Importing an image takes a node seconds of processor time while everything
else starts, and it is the same for every node of every cluster.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from kubewitness.assets import Assets
from kubewitness.assets.store import Store, cache_root
from kubewitness.clusters import configuration
from kubewitness.clusters.keeping import Keeper

_NAME = "containerd-root"
_IMPORT_S = 120.0
#: What containerd knows of images. Its own identity and its containers are each node's own.
_PARTS = (
    "io.containerd.content.v1.content",
    "io.containerd.metadata.v1.bolt",
    "io.containerd.snapshotter.v1.overlayfs",
)


def unpacked(assets: Assets, binaries: Path, keeper: Keeper, progress: Callable[[str], None]) -> Path:
    """The cached root with the images of ``assets``; made in a namespace of ``keeper`` if there is none."""
    store = Store(cache_root())
    archives = sorted(set(assets.images.values()))
    made_of = [assets.binaries["containerd"].sha256, *(str(each.parent.name) for each in archives)]
    root = store.root / f"{_NAME}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]}"
    if not root.is_dir():
        with store.workplace(_NAME, progress) as work:
            if not root.is_dir():  # else another process made it while this one waited
                progress("unpacking the container images, once for all clusters to come")
                _unpack(archives, binaries, keeper, work).rename(root)
    return root


def _unpack(archives: list[Path], binaries: Path, keeper: Keeper, work: Path) -> Path:
    var_lib = work / "var-lib"
    var_lib.mkdir()
    keeper.namespace("images", binds=[(var_lib, "/var/lib")], tmpfs=["/run"])
    toml = work / "containerd.toml"
    toml.write_text(configuration.containerd(binaries, work, "none", restricted=True))
    runtime = "containerd/images"
    argv = [binaries / "containerd", "--config", toml]
    keeper.spawn(runtime, argv, ns="images", notify=True, stays=False)
    keeper.wait_ready(runtime, _IMPORT_S)
    for archive in archives:
        argv = [binaries / "ctr", "-n", "k8s.io", "images", "import", "--local", archive]
        keeper.run(f"import-{archive.stem}", argv, ns="images", within_s=_IMPORT_S)
    keeper.signal(runtime, signal.SIGTERM)
    keeper.wait_exit(runtime, _IMPORT_S)
    return var_lib / "containerd"


def link(root: Path, target: Path) -> None:
    """A node's own containerd root: what never changes is shared with ``root``, the databases are copies."""
    for part in _PARTS:
        shutil.copytree(root / part, target / part, symlinks=True, copy_function=share)


def share(source: str, target: str) -> None:
    """A hard link where the file system allows it; a copy of what may change."""
    if not source.endswith(".db"):
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
    shutil.copy2(source, target)
