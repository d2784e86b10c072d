"""What the nodes that share this host's kernel can mount over the network."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FILE_SYSTEMS, _MODULES = Path("/proc/filesystems"), Path("/sys/module")
_PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"  # where a node's kubelet looks, too


@dataclass(frozen=True, slots=True)
class Client:
    """What mounting one kind takes: the kernel's part, by any of its names, and programs."""

    file_system: str
    module: str
    programs: tuple[str, ...]


#: iSCSI is not among them: the kernel speaks to its daemon in the host's own network namespace alone, and
#: these nodes live in others.
CLIENTS = {
    "nfs": Client("nfs4", "nfsv4", ("mount.nfs4",)),
    "rbd": Client("", "rbd", ("rbd",)),
    "glusterfs": Client("fuse", "fuse", ("mount.glusterfs",)),
}


@functools.cache
def mountable() -> tuple[str, ...]:
    """The kinds of needs.MOUNTS that this host has kernel and programs for."""
    return tuple(kind for kind, client in CLIENTS.items() if _installed(client) and _in_kernel(client))


def _installed(client: Client) -> bool:
    return all(shutil.which(each, path=_PLACES) for each in client.programs)


def _in_kernel(client: Client) -> bool:
    """Built in, loaded, or to be loaded by the kernel itself when it is first asked for."""
    known = {line.split()[-1] for line in _FILE_SYSTEMS.read_text().splitlines()}
    return client.file_system in known or (_MODULES / client.module).exists() or _loadable(client.module)


def _loadable(module: str) -> bool:
    modprobe = shutil.which("modprobe", path=os.pathsep.join([os.environ.get("PATH", ""), _PLACES]))
    if modprobe is None:
        return False
    asked = subprocess.run([modprobe, "--dry-run", "--quiet", module], check=False, capture_output=True)
    return asked.returncode == 0
