"""A Ceph cluster of one monitor and one OSD, which keeps all in memory: enough for block devices (RBD)."""

from __future__ import annotations

import base64
import re
import secrets
import struct
import uuid
from pathlib import Path

from kubewitness.clusters import network
from kubewitness.clusters.storage.server import ADDRESS, Offer, Programs, Source

PORT, OSD_PORT = 6789, 6800
_POOL, _USER = "rbd", "admin"
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
        self._key = key()
        self._keyring = directory / "keyring"
        self._keyring.write_text(keyring(self._key))
        monitors = directory / "monmap"
        programs.ask("monmaptool", "--create", "--fsid", cluster, "--addv", "a", _monitor(), monitors)
        self._ask("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", self._keyring)
        programs.serve("ceph-mon", "-c", self._configuration, "-f", "-i", "a", *_AS_ROOT, port=PORT)
        self._ask("ceph-osd", "--mkfs", "-i", "0", *_AS_ROOT)
        self._ask("ceph", "osd", "new", (directory / "osd" / "fsid").read_text().strip(), "0")
        programs.serve("ceph-osd", "-c", self._configuration, "-f", "-i", "0", *_AS_ROOT, port=OSD_PORT)
        self._ask("ceph", "osd", "pool", "create", _POOL, "8")

    def offer(self) -> Offer:
        """An image, with features that every kernel knows."""
        name = secrets.token_hex(4)
        self._ask(
            "rbd", "create", "--size", f"{_SIZE_MIB}M", "--image-feature", "layering", f"{_POOL}/{name}"
        )
        secret = {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/rbd", "metadata": {"name": "ceph"},
            "stringData": {"key": self._key},
        }  # fmt: skip
        source = {
            "monitors": [f"{ADDRESS}:{PORT}"], "pool": _POOL, "image": name, "fsType": "ext4",
            "user": _USER, "secretRef": {"name": "ceph"},
        }  # fmt: skip
        return Offer(source, (secret,))

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


def key() -> str:
    """A new one for AES, in Ceph's own form: its kind, the time, its length, itself."""
    secret = secrets.token_bytes(16)
    return base64.b64encode(struct.pack("<HIIH", 1, 0, 0, len(secret)) + secret).decode()


def keyring(admin: str) -> str:
    """Who may do what: of the machine itself, everybody everything."""
    keys = {"mon.": key(), "osd.0": key(), f"client.{_USER}": admin}
    caps = "\n".join(f'\tcaps {each} = "allow *"' for each in ("mon", "osd"))
    return "".join(f"[{name}]\n\tkey = {each}\n{caps}\n" for name, each in keys.items())


def _monitor() -> str:
    # The kernel's client spoke only the first version of the protocol for long.
    return f"[v1:{ADDRESS}:{PORT}]"


def configuration(cluster: str, directory: Path) -> str:
    """For one machine."""
    return f"""\
[global]
fsid = {cluster}
mon host = v1:{ADDRESS}:{PORT}
public network = {network.MACHINES}
ms bind msgr2 = false
keyring = {directory}/keyring
run dir = {directory}
log to file = false
log to stderr = true
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
