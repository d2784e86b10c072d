"""The part of a node image that has nothing of Kubernetes: made once for versions that call the same tools.

node-system-<key>/system.tar    a small Debian with systemd
node-system-<key>/proxy.tar     what kube-proxy calls, with the libraries that it takes
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from kubewitness.assets import AssetError, debian
from kubewitness.assets.store import Progress, Store
from kubewitness.model import versions

#: What kubeadm, the kubelet, containerd, kind and the files beside this one call.
PACKAGES = (
    "base-files", "base-passwd", "bash", "ca-certificates", "conntrack", "coreutils", "dash", "dbus",
    "ethtool", "findutils", "grep", "gzip", "hostname", "iproute2", "ipset", "iptables", "kmod", "libc-bin",
    "mount", "nftables", "procps", "sed", "socat", "systemd", "systemd-sysv", "tar", "util-linux",
)  # fmt: skip
_LAYOUT = 1  # raised when what is made of the same packages becomes another
_PROXY_CALLS = ("nft", "conntrack", debian.XTABLES)
#: Units that are of use in a container. All others that Debian starts see to a machine.
_UNITS = ("systemd-journald", "dbus")


def packages(minor: versions.Minor) -> tuple[str, ...]:
    """What the nodes of a version are made of."""
    return (*PACKAGES, "git") if versions.clones_repositories(minor) else PACKAGES


def layers(minor: versions.Minor, store: Store, progress: Progress) -> tuple[Path, Path]:
    """The system's archive, and that of kube-proxy's tools."""
    wanted = packages(minor)

    def make(work: Path, entry: Path) -> None:
        progress("making the system of node images, once for all versions like this")
        tree = work / "tree"
        debian.unpack(wanted, tree, work / "apt", progress)
        _configure(tree)
        archive(tree, entry / "system.tar")
        archive(_proxy_tools(tree, work / "proxy"), entry / "proxy.tar")

    made = store.directory("node-system", (_LAYOUT, wanted), make, progress)
    return made / "system.tar", made / "proxy.tar"


def archive(tree: Path, target: Path) -> None:
    """The files of ``tree`` as a layer: in the order of their names, root's, and as old as time."""
    whose = ("--owner=0", "--group=0", "--numeric-owner")
    call(
        "tar", "--create", f"--file={target}", f"--directory={tree}", "--sort=name", "--mtime=@0", *whose, "."
    )


def call(*command: str | Path) -> str:
    """What a command prints; AssetError with what it says if it fails."""
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        said = f"`{' '.join(map(str, command))}` ended with status {told.returncode}: {told.stderr.strip()}"
        raise AssetError(f"the node image cannot be made: {said}")
    return told.stdout


def _configure(tree: Path) -> None:
    """Does what the packages' scripts, which nobody ran, would have done of what a node needs."""
    for name, target in (("run", "/run"), ("lock", "/run/lock")):
        (tree / "var" / name).rmdir()
        (tree / "var" / name).symlink_to(target)
    for name in ("passwd", "group"):
        shutil.copy(tree / "usr/share/base-passwd" / f"{name}.master", tree / "etc" / name)
    for name in debian.IPTABLES:
        (tree / "usr/sbin" / name).symlink_to(debian.XTABLES)
    authorities = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.write_text("".join(each.read_text() for each in authorities))
    call("chroot", tree, "systemd-sysusers")
    units = tree / "usr/lib/systemd/system"
    for wanted in units.glob("*.wants/*"):
        if not wanted.name.startswith(_UNITS):
            wanted.unlink()
    (units / "default.target").unlink()
    (units / "default.target").symlink_to("multi-user.target")


def _proxy_tools(tree: Path, target: Path) -> Path:
    for file in _with_libraries(tree, (tree / "usr/sbin" / name for name in _PROXY_CALLS)):
        place = target / file.relative_to(tree)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    for name in debian.IPTABLES:
        (target / "usr/sbin" / name).symlink_to(debian.XTABLES)
    for name in ("lib", "lib64"):
        (target / name).symlink_to(f"usr/{name}")
    (target / "run").mkdir()  # for the lock of iptables
    return target


def _with_libraries(tree: Path, programs: Iterable[Path]) -> Iterator[Path]:
    """The programs, iptables' extensions, and the libraries of both, as the dynamic loader finds them."""
    wanted = [*programs, *tree.glob("usr/lib/*/xtables/*.so")]
    yield from wanted
    told = call("chroot", tree, "ldd", *(f"/{each.relative_to(tree)}" for each in wanted))
    yield from (tree / "usr" / each for each in libraries(told))


def libraries(told: str) -> list[str]:
    """The files that ldd names, once each, from /usr: below which /lib and /lib64 are."""
    return sorted(set(re.findall(r"/(lib\S*) \(0x", told)))
