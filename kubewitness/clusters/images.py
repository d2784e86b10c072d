"""A containerd root that holds every image, unpacked: made once, then linked into each node.

Importing an image takes a node seconds of processor time while everything
else starts, and it is the same for every node of every cluster.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterable
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
    archives = sorted(set(assets.images.values()))
    made_of = [assets.binaries["containerd"].sha256, *(str(each.parent.name) for each in archives)]

    def make(work: Path, entry: Path) -> None:
        progress("unpacking the container images, once for all clusters to come")
        unpack(archives, binaries, keeper, work).rename(entry)

    return Store(cache_root()).directory(_NAME, made_of, make, progress)


def unpack(
    archives: Iterable[Path], binaries: Path, keeper: Keeper, work: Path, *, layers: bool = True
) -> Path:
    """A new containerd root below ``work`` with the archives' images; made in a namespace of ``keeper``.

    Without ``layers`` only what was unpacked of them stays: half of the space, and all that containers need.
    """
    var_lib = work / "var-lib"
    var_lib.mkdir()
    keeper.namespace("images", binds=[(var_lib, "/var/lib")], tmpfs=["/run"])
    toml = work / "containerd.toml"
    toml.write_text(configuration.containerd(binaries, work, "none", restricted=True))
    runtime = "containerd/images"
    keeper.spawn(runtime, [binaries / "containerd", "--config", toml], ns="images", notify=True, stays=False)
    keeper.wait_ready(runtime, _IMPORT_S)
    ctr = [binaries / "ctr", "-n", "k8s.io"]
    for archive in archives:
        argv = [*ctr, "images", "import", "--local", archive]
        keeper.run(f"import-{archive.stem}", argv, ns="images", within_s=_IMPORT_S)
    if not layers:
        argv = [*ctr, "content", "prune", "references"]
        keeper.run("prune", argv, ns="images", within_s=_IMPORT_S)
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
