"""A GlusterFS server of one machine, with a directory behind each volume."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from kubewitness.clusters.storage.server import ADDRESS, Offer, Programs, Source, any_file_holds

PORT = 24007
_NAME = "glusterfs"
#: By which a kubelet finds the server. Without a Service they would not stay.
_ENDPOINTS = {
    "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": _NAME},
    "subsets": [{"addresses": [{"ip": ADDRESS}], "ports": [{"port": PORT}]}],
}  # fmt: skip
_SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": _NAME}, "spec": {"ports": [{"port": PORT}]},
}  # fmt: skip


class Gluster:
    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        directory = programs.directory
        file = directory / "glusterd.vol"
        file.write_text(configuration(directory))
        how = ("-N", "--volfile", file, "--log-file", directory / "glusterd.log", "-p", directory / "pid")
        programs.serve("glusterd", *how, port=PORT)

    def offer(self) -> Offer:
        """A volume of one brick."""
        name = f"volume-{secrets.token_hex(4)}"
        self._ask("volume", "create", name, f"{ADDRESS}:{self._brick(name)}", "force")
        self._ask("volume", "start", name)
        return Offer({"endpoints": _NAME, "path": name}, (_SERVICE, _ENDPOINTS))

    def holds(self, source: Source, text: str) -> bool:
        return any_file_holds(self._brick(source["path"]), text)

    def users(self, source: Source) -> list[str]:
        """The addresses of those that are connected to its brick."""
        return clients(self._ask("volume", "status", source["path"], "clients"))

    def _brick(self, name: str) -> Path:
        return self._programs.directory / name

    def _ask(self, *arguments: object) -> str:
        log = self._programs.directory / "gluster.log"
        return self._programs.ask("gluster", "--mode=script", f"--log-file={log}", *arguments)


def clients(told: str) -> list[str]:
    """Whom `gluster volume status VOLUME clients` lists."""
    return sorted(re.findall(r"^([0-9.]+):\d+\s", told, re.MULTILINE))


def configuration(directory: Path) -> str:
    return f"""\
volume management
    type mgmt/glusterd
    option working-directory {directory}/work
    option transport-type socket
    option transport.address-family inet
    option transport.socket.bind-address {ADDRESS}
    option transport.socket.listen-port {PORT}
end-volume
"""
