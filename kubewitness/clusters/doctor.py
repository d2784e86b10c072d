"""What a local cluster needs of its host, and whether it is there."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from kubewitness.clusters import runs
from kubewitness.clusters.errors import HostLacks
from kubewitness.clusters.kind.host import Unusable
from kubewitness.clusters.kind.probing import probe
from kubewitness.clusters.nodes import restricted
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.cluster import EngineName, Topology
from kubewitness.model.versions import proxies_by_nftables

_TOOLS = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux"}
_OLD_PROXY_TOOLS = {"iptables": "iptables", "conntrack": "conntrack"}
_DEBIAN_TOOLS = {"apt-get": "apt", "dpkg-deb": "dpkg"}  # for Debian's packages, of which nodes are made
_EMULATION_TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mkfs.ext4": "e2fsprogs", **_DEBIAN_TOOLS}
_TUN = Path("/dev/net/tun")
_HOST_ENGINES = (EngineName.DOCKER, EngineName.PODMAN)
_FREE_BYTES = 4 << 30
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES = 40  # measured: 10 for the control plane, 9 for each node, and some to spare


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``advice`` is empty where it is all right."""

    what: str
    found: str
    advice: str = ""


def examine(
    version: str,
    topology: Topology = Topology.STANDARD,
    *,
    emulated_nodes: bool = False,
    engine: EngineName | None = None,
    node_image: bool = False,
) -> list[Finding]:
    """Everything that a cluster of a version needs here, in the order in which it would be missed.

    With ``engine`` it is one of kind; ``node_image``: an image for such nodes is to be made.
    """
    found = [_root(), _capture()]
    found += [_tool(name, package) for name, package in _TOOLS.items()]
    of_kind = engine is not None or node_image  # whose nodes have tools of their own
    if topology is Topology.STANDARD and not of_kind and not proxies_by_nftables(parse_minor(version)):
        found += [_tool(name, package) for name, package in _OLD_PROXY_TOOLS.items()]
    found.append(_namespaces())
    if topology is not Topology.SIMULATED:  # which runs no containers
        found += [_file_system("overlay"), _control_groups(), _watches()]
    found.append(_space())
    if emulated_nodes:
        found += [_machine(), _tun()]
        found += [_tool(name, package) for name, package in _EMULATION_TOOLS.items()]
    if engine is EngineName.OWN or node_image:
        found += [_tool(name, package) for name, package in _DEBIAN_TOOLS.items()]
    if engine:
        found.append(_limits())
    if engine in _HOST_ENGINES:
        found.append(_engine(engine))
    return found


def require(
    version: str,
    topology: Topology = Topology.STANDARD,
    *,
    emulated_nodes: bool = False,
    engine: EngineName | None = None,
    node_image: bool = False,
) -> None:
    """Raises HostLacks with everything that is missing, in one message."""
    looked_at = examine(
        version, topology, emulated_nodes=emulated_nodes, engine=engine, node_image=node_image
    )
    if missing := [each for each in looked_at if each.advice]:
        lines = "; ".join(f"{each.what}: {each.found}; {each.advice}" for each in missing)
        held = f"hold a {'kind' if engine else 'local'} cluster"
        if node_image and not engine:
            held = "make a node image"
        held += " with emulated nodes" if emulated_nodes else ""
        raise HostLacks(f"this host cannot {held}: {lines}")


def run(arguments: argparse.Namespace) -> int:
    """The command `kubewitness doctor`."""
    engine = arguments.engine or (EngineName.OWN if arguments.kind else None)
    found = examine(
        arguments.version, arguments.topology, emulated_nodes=arguments.emulated_nodes, engine=engine,
        node_image=bool(engine),
    )  # fmt: skip
    if arguments.kind:
        found += [_choice(each) for each in _HOST_ENGINES if each != engine]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
    else:
        for each in found:
            print(f"{'MISSING' if each.advice else 'ok':8} {each.what}: {each.found}")
            if each.advice:
                print(f"{'':8} {each.advice}")
    return 3 if any(each.advice for each in found) else 0


def _root() -> Finding:
    user = os.geteuid()
    advice = "" if user == 0 else "run it as root (namespaces, mounts and packet capture need it)"
    return Finding("root", f"user id {user}", advice)


def _capture() -> Finding:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return Finding("CAP_NET_RAW", "not granted", "grant it: traffic is captured from packet sockets")
    return Finding("CAP_NET_RAW", "granted")


def _tool(name: str, package: str) -> Finding:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return Finding(name, path or "not on PATH", "" if path else f"install the package {package}")


def _machine() -> Finding:
    machine = platform.machine()
    advice = (
        "" if machine == "x86_64" else "use a host with x86_64 processors: the nodes' kernel is for these"
    )
    return Finding("processor", machine, advice)


def _tun() -> Finding:
    there = _TUN.exists()
    advice = "" if there else "use a kernel with TUN (modprobe tun)"
    return Finding(str(_TUN), "there" if there else "not there", advice)


def _namespaces() -> Finding:
    kinds = {path.name for path in Path("/proc/self/ns").iterdir()}
    missing = sorted({"pid", "mnt", "net", "uts"} - kinds)
    return Finding(
        "kernel namespaces",
        "pid, mnt, net and uts" if not missing else f"no {', '.join(missing)}",
        "use a kernel that has them" if missing else "",
    )


def _file_system(name: str) -> Finding:
    there = any(line.split()[-1] == name for line in Path("/proc/filesystems").read_text().splitlines())
    return Finding(
        f"file system {name}", "known to the kernel" if there else "unknown to the kernel",
        "" if there else f"load it: modprobe {name}",
    )  # fmt: skip


def _control_groups() -> Finding:
    version = 2 if (runs.CGROUPS / "cgroup.controllers").exists() else 1
    names = (
        (runs.CGROUPS / "cgroup.controllers").read_text().split()
        if version == 2
        else [each.name for each in runs.CGROUPS.iterdir()]
    )
    missing = sorted({"cpu", "memory", "pids"} - set(names))
    advice = f"enable the controllers {', '.join(missing)}" if missing else ""
    return Finding("control groups", f"version {version}: {' '.join(sorted(names))}", advice)


def _watches() -> Finding:
    """A kube-proxy or kubelet that cannot watch its files ends as it starts."""
    limit = int(_INOTIFY.read_text())
    return Finding(
        "inotify instances", f"at most {limit} for a user; a cluster with three nodes takes {_INSTANCES}",
        "" if limit > _INSTANCES else "raise it: sysctl fs.inotify.max_user_instances=512",
    )  # fmt: skip


def _limits() -> Finding:
    lacking = "root lacks it: --engine own starts containers without what needs it"
    found = lacking if restricted() else "root has it"
    return Finding("CAP_SYS_RESOURCE", found)


def _engine(name: EngineName) -> Finding:
    """One of this host's, which is to run nodes. It starts a container, which takes half a second."""
    what = f"--engine {name}"
    if os.geteuid() != 0:
        return Finding(what, "not looked at without root")
    try:
        about = probe(name)
    except Unusable as error:
        return Finding(what, error.found, error.advice)
    return Finding(what, f"{name} {about.version} runs nodes, by its runtime {about.runtime}")


def _choice(name: EngineName) -> Finding:
    """The same for one that a cluster of kind may have or not: nothing is missing without it."""
    looked_at = _engine(name)
    if not looked_at.advice:
        return looked_at
    return Finding(looked_at.what, f"cannot be chosen: {looked_at.found}; {looked_at.advice}")


def _space() -> Finding:
    place = runs.root()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    advice = "" if free >= _FREE_BYTES else f"free {_FREE_BYTES >> 30} GiB, or set KUBEWITNESS_STATE"
    return Finding(f"disk space at {runs.root()}", f"{free / (1 << 30):.1f} GiB free", advice)
