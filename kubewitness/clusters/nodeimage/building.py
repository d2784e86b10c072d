"""A node image: the system, Kubernetes with what it runs on, and the images of its pods, a layer each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubewitness.assets import Assets
from kubewitness.assets.oci import Image, write_archive, write_docker_archive
from kubewitness.assets.recipes import architecture
from kubewitness.assets.store import Progress, Store, cache_root
from kubewitness.clusters import configuration, images, runs
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.nodeimage import system
from kubewitness.model import versions
from kubewitness.model.behaviour import parse_minor

FILES = Path(__file__).with_name("files")
_LAYOUT = 2  # raised when what is made of the same parts becomes another
_ARCHIVE = "image.tar"
_PROGRAMS, _PLUGINS = "usr/local/bin", "opt/cni/bin"
_PATH = f"PATH=/usr/local/sbin:/{_PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin"
RUNS = {
    "Entrypoint": [f"/{_PROGRAMS}/entrypoint", "/sbin/init"],
    "Env": [_PATH, "container=docker"],  # systemd asks for the latter
    "StopSignal": "SIGRTMIN+3",  # that of systemd to halt
}
BINARIES = ("kubeadm", "kubelet", "kubectl", "containerd", "ctr", "containerd-shim-runc-v2", "runc")
PLUGINS = ("bridge", "host-local", "loopback", "portmap", "ptp")


@dataclass(frozen=True, slots=True)
class NodeImage:
    """``archive`` is what `docker load` reads."""

    reference: str
    archive: Path


def node_image(assets: Assets, progress: Progress) -> NodeImage:
    """From the cache, or made now."""
    store = Store(cache_root())
    reference = f"kubewitness/node:v{assets.kubernetes}"
    bottom, tools = system.layers(parse_minor(assets.kubernetes), store, progress)

    def make(work: Path, entry: Path) -> None:
        progress(f"making the node image {reference}")
        references = wanted(assets)
        node, pods = work / "node", work / "pods"
        lay_out(node, assets, pause=next(each for each in references if "/pause:" in each))
        all_archives = [*archives(references, assets, tools, work), *sorted(set(assets.images.values()))]
        progress("unpacking the images of its pods into it")
        with _keeper() as keeper:
            root = images.unpack(all_archives, node / _PROGRAMS, keeper, work, layers=False)
        lay_out_images(pods, root)
        progress("writing the archive")
        for each in (node, pods):
            system.archive(each, each.with_suffix(".tar"))
        parts = [bottom, work / "node.tar", work / "pods.tar"]
        write_docker_archive(entry / _ARCHIVE, parts, [reference], RUNS, architecture())

    made = store.directory("node-image", made_of(assets, bottom), make, progress)
    return NodeImage(reference, made / _ARCHIVE)


def made_of(assets: Assets, bottom: Path) -> object:
    files = [
        (str(each.relative_to(FILES)), each.read_bytes())
        for each in sorted(FILES.rglob("*"))
        if each.is_file()
    ]
    binaries = [each.sha256 for each in assets.binaries.values()]
    return (_LAYOUT, assets.kubernetes, bottom.parent.name, files, binaries, sorted(assets.images))


def wanted(assets: Assets) -> list[str]:
    """The images that kubeadm starts a cluster of."""
    version = f"--kubernetes-version=v{assets.kubernetes}"  # else kubeadm asks the Internet for one
    return system.call(assets.binaries["kubeadm"].path, "config", "images", "list", version).split()


def lay_out(tree: Path, assets: Assets, pause: str) -> None:
    """The files of a node that are ours or of the version."""
    shutil.copytree(FILES, tree)
    for names, folder in ((BINARIES, _PROGRAMS), (PLUGINS, _PLUGINS)):
        for name in names:
            _install(assets.binaries[name].path, tree / folder)
    (tree / "kind" / "version").write_text(f"v{assets.kubernetes}\n")
    network = tree / "kind" / "manifests" / "default-cni.yaml"
    network.write_text(network.read_text().replace("@PAUSE@", pause))
    _let_dns_read(tree / "kind" / "manifests", parse_minor(assets.kubernetes))
    toml = tree / "etc" / "containerd" / "config.toml"
    toml.parent.mkdir(parents=True)
    programs, plugins, networks = Path("/", _PROGRAMS), Path("/", _PLUGINS), Path("/etc/cni/net.d")
    # Whether it is restricted is seen where the node runs, by its entrypoint.
    toml.write_text(configuration.containerd(programs, networks, pause, restricted=False, plugins=plugins))
    wants = tree / "etc" / "systemd" / "system" / "multi-user.target.wants"
    wants.mkdir()
    for unit in ("containerd.service", "kubelet.service"):
        (wants / unit).symlink_to(f"../{unit}")


def _let_dns_read(manifests: Path, minor: versions.Minor) -> None:
    """CoreDNS here reads EndpointSlices, and kubeadm may be of a time when it did not.

    kind creates what is in two files, and of these one only if it installs a network.
    """
    role, always = manifests / "dns-role.yaml", manifests / "default-storage.yaml"
    if not versions.shows_endpoint_slices_to_dns(minor):
        always.write_text(f"{always.read_text()}---\n{role.read_text()}")
    role.unlink()


def lay_out_images(tree: Path, root: Path) -> None:
    """Containerd's root as a node's, but for the files of the images: these stay in the node image.

    kind makes a volume of each node's /var, which begins as a copy of the image's: of half a gigabyte, else.
    """
    place = tree / "var" / "lib" / "containerd"
    place.parent.mkdir(parents=True)
    root.rename(place)
    snapshots = place / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
    kept = tree / "kind" / "snapshots"
    kept.parent.mkdir()
    snapshots.rename(kept)
    snapshots.mkdir(mode=0o700)
    for each in kept.iterdir():
        (snapshots / each.name).symlink_to(f"/kind/snapshots/{each.name}")


def archives(references: Sequence[str], assets: Assets, tools: Path, work: Path) -> Iterator[Path]:
    """An archive for each image that is wanted, under the name that is wanted."""
    for reference in references:
        name = reference.rpartition("/")[2].partition(":")[0]
        binary = assets.binaries["agnhost" if name == "pause" else name].path
        target = work / f"{name}-image.tar"
        if name == "kube-proxy":
            _write_proxy(reference, binary, tools, target)
        else:
            command = ["/agnhost", "pause"] if name == "pause" else [f"/{name}"]
            write_archive(target, binary, [Image(reference, command)], architecture())
        yield target


def _install(binary: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(binary, folder / binary.name)
    (folder / binary.name).chmod(0o755)


def _write_proxy(reference: str, binary: Path, tools: Path, target: Path) -> None:
    tree = target.with_suffix("")
    _install(binary, tree / _PROGRAMS)
    layer = target.with_suffix(".layer")
    system.archive(tree, layer)
    config = {"Entrypoint": [f"/{_PROGRAMS}/{binary.name}"], "Env": [_PATH]}
    write_docker_archive(target, [tools, layer], [reference], config, architecture())


@contextmanager
def _keeper() -> Iterator[Keeper]:
    """One that holds no cluster, for what is made in its namespaces."""
    run = runs.create()
    try:
        keeper = Keeper.start(run.directory)
        try:
            yield keeper
        finally:
            keeper.close()
    finally:
        run.remove()
