"""A Ceph cluster of one monitor and one OSD, which keeps all in memory: enough for block devices (RBD)."""

from __future__ import annotations

import re
import secrets
import uuid
from pathlib import Path

from kubewitness.clusters import network
from kubewitness.clusters.storage.server import ADDRESS, Programs, Source

PORT, OSD_PORT = 6789, 6800
_POOL = "rbd"
_SIZE_MIB = 64
_AS_ROOT = ("--setuser", "root", "--setgroup", "root")


class Ceph:
    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        directory = programs.directory
        cluster = str(uuid.uuid4())
        (directory / "osd").mkdir()
        self._configuration = directory / "ceph.conf"
        self._configuration.write_text(configuration(cluster, directory))
        monitors = directory / "monmap"
        programs.ask("monmaptool", "--create", "--fsid", cluster, "--addv", "a", _monitor(), monitors)
        self._ask("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors)
        programs.serve("ceph-mon", "-c", self._configuration, "-f", "-i", "a", *_AS_ROOT, port=PORT)
        self._ask("ceph-osd", "--mkfs", "-i", "0", *_AS_ROOT)
        self._ask("ceph", "osd", "new", (directory / "osd" / "fsid").read_text().strip(), "0")
        programs.serve("ceph-osd", "-c", self._configuration, "-f", "-i", "0", *_AS_ROOT, port=OSD_PORT)
        self._ask("ceph", "osd", "pool", "create", _POOL, "8")

    def offer(self) -> Source:
        """An image, which anybody may map: with features that every kernel knows."""
        name = secrets.token_hex(4)
        self._ask(
            "rbd", "create", "--size", f"{_SIZE_MIB}M", "--image-feature", "layering", f"{_POOL}/{name}"
        )
        return {"monitors": [f"{ADDRESS}:{PORT}"], "pool": _POOL, "image": name, "fsType": "ext4"}

    def holds(self, source: Source, text: str) -> bool:
        copy = self._programs.directory / f"{source['image']}.copy"
        copy.unlink(missing_ok=True)
        self._ask("rbd", "export", "--no-progress", f"{_POOL}/{source['image']}", copy)
        return text.encode() in copy.read_bytes()

    def users(self, source: Source) -> list[str]:
        """The addresses of those that watch its image, as all do that have mapped it."""
        return watchers(self._ask("rbd", "status", f"{_POOL}/{source['image']}"))

    def _ask(self, name: str, *arguments: object) -> str:
        return self._programs.ask(name, "-c", self._configuration, *arguments)


def watchers(told: str) -> list[str]:
    """Whom `rbd status` names."""
    return sorted(re.findall(r"watcher=(?:v1:)?([0-9.]+):", told))


def _monitor() -> str:
    # The kernel's client spoke only the first version of the protocol for long.
    return f"[v1:{ADDRESS}:{PORT}]"


def configuration(cluster: str, directory: Path) -> str:
    """For one machine, and without authentication: nobody else is in its network."""
    return f"""\
[global]
fsid = {cluster}
mon host = v1:{ADDRESS}:{PORT}
public network = {network.MACHINES}
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {directory}
log file = {directory}/$name.log
admin socket = {directory}/$name.sock
pid file = {directory}/$name.pid
mon data = {directory}/mon
mon allow pool size one = true
osd data = {directory}/osd
osd objectstore = memstore
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
"""
