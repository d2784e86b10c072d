"""The disks that emulated nodes boot from: made once, then shared, since no node writes to them.

guest-<key>/vmlinuz, initramfs, root.ext4     a small Debian with its kernel
guest-node-<key>/node.ext4                    what is of the cluster's version: binaries and images
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubewitness.assets import Assets, debian
from kubewitness.assets.store import Progress, Store, cache_root
from kubewitness.clusters import cpio, images
from kubewitness.clusters.errors import ClusterError
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.needs import emulated_mounts
from kubewitness.model.versions import proxies_by_nftables

#: The kernel, which can mount what the host's cannot, and what kubelet, kube-proxy and the start call.
PACKAGES = (
    "linux-image-cloud-amd64", "busybox-static", "dash", "coreutils", "util-linux", "kmod", "mount", "udev",
    "e2fsprogs", "iproute2", "nftables", "conntrack", "nfs-common", "open-iscsi",
)  # fmt: skip
#: It maps Ceph's devices, and is half as large as all the rest.
CEPH_PACKAGES = ("ceph-common",)
#: What a kube-proxy calls that cannot use nftables.
IPTABLES_PACKAGES = ("iptables",)
BINARIES = (
    "kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "runc",
    "bridge", "host-local", "loopback", "portmap",
)  # fmt: skip
#: What it takes to see the first disk; the rest is loaded from there.
_MODULES = ("virtio_pci", "virtio_blk", "ext4")
_LAYOUT = 1  # raised when what is made of the same parts becomes another
_DISK_BYTES = 4 << 30  # most of it a hole in the file


@dataclass(frozen=True, slots=True)
class Guest:
    """Files for qemu. ``initramfs`` is to be followed by another archive, with the cluster's own files."""

    kernel: Path
    initramfs: Path
    root: Path
    node: Path


def prepared(assets: Assets, images_root: Path, progress: Progress) -> Guest:
    """From the cache, or made now. ``images_root`` is containerd's with every image (see images.unpacked)."""
    store = Store(cache_root())
    packages = PACKAGES + (CEPH_PACKAGES if "rbd" in emulated_mounts(assets.kubernetes) else ())
    packages += () if proxies_by_nftables(parse_minor(assets.kubernetes)) else IPTABLES_PACKAGES
    made_of: tuple[object, ...] = (packages, _MODULES)

    def make_system(work: Path, entry: Path) -> None:
        with _told("guest", progress):
            _make_system(packages, work, entry, progress)

    system = store.directory("guest", (_LAYOUT, made_of), make_system, progress)
    binaries = {name: assets.binaries[name] for name in BINARIES}

    def make_node(work: Path, entry: Path) -> None:
        with _told("guest-node", progress):
            tree = work / "tree"
            (tree / "bin").mkdir(parents=True)
            for name, asset in binaries.items():
                images.share(str(asset.path), str(tree / "bin" / name))
            images.link(images_root, tree / "containerd")
            _write_disk(tree, entry / "node.ext4")

    made_of = ([each.sha256 for each in binaries.values()], images_root.name)
    node = store.directory("guest-node", (_LAYOUT, made_of), make_node, progress)
    return Guest(system / "vmlinuz", system / "initramfs", system / "root.ext4", node / "node.ext4")


@contextmanager
def _told(name: str, progress: Progress) -> Iterator[None]:
    progress(f"making the disk of emulated nodes ({name}), once for all clusters to come")
    try:
        yield
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClusterError(f"the disk of emulated nodes cannot be made: {error}") from error


def _make_system(packages: Sequence[str], work: Path, entry: Path, progress: Progress) -> None:
    tree = work / "tree"
    debian.unpack(packages, tree, work / "apt", progress)
    # Packages that are not among these, and their scripts, would have made the following.
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "node"):
        (tree / name).mkdir(exist_ok=True)
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc" / "group").write_text("root:x:0:\n")
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    release = kernel.name.removeprefix("vmlinuz-")
    subprocess.run(["chroot", tree, "/sbin/depmod", release], check=True)
    modules = tree / "lib" / "modules" / release
    dependencies = (modules / "modules.dep").read_text()
    files = [cpio.file("bin/busybox", (tree / "bin" / "busybox").read_bytes(), permissions=0o755)]
    for number, each in enumerate(in_order(dependencies, _MODULES)):
        files.append(cpio.file(f"modules/{number:02}-{Path(each).name}", (modules / each).read_bytes()))
    (entry / "initramfs").write_bytes(cpio.archive([*files, cpio.folder("dev"), cpio.folder("root")]))
    shutil.move(kernel, entry / "vmlinuz")
    _write_disk(tree, entry / "root.ext4")


def in_order(dependencies: str, wanted: tuple[str, ...]) -> list[str]:
    """The files of the modules, each after those that it needs, as modules.dep tells (depmod(8)).

    What is not a module of this kernel is built into it.
    """
    needs = _needs(dependencies)
    paths = {Path(path).name.partition(".")[0]: path for path in needs}
    found: dict[str, None] = {}
    for name in wanted:
        if path := paths.get(name):
            found |= dict.fromkeys([*reversed(needs[path]), path])
    return list(found)


def _needs(dependencies: str) -> Mapping[str, list[str]]:
    def lines() -> Iterator[tuple[str, list[str]]]:
        for line in dependencies.splitlines():
            path, _, needed = line.partition(":")
            yield path, needed.split()

    return dict(lines())


def _write_disk(tree: Path, disk: Path) -> None:
    """An ext4 file system with the files of ``tree``; without a journal, since no disk outlives its node."""
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", tree, disk], check=True)
