"""An NFS server: NFS-Ganesha, speaking NFSv4 alone. That takes no port mapper and no lock manager."""

from __future__ import annotations

import secrets
from pathlib import Path

from kubewitness.clusters.storage.server import ADDRESS, Offer, Programs, Source, any_file_holds, clients

PORT = 2049
_SERVED_AT = "/exports"


class Nfs:
    def __init__(self, programs: Programs) -> None:
        self._exports = programs.directory / "exports"
        state = programs.directory / "state"
        for each in (self._exports, state):
            each.mkdir()
        file = programs.directory / "ganesha.conf"
        file.write_text(configuration(self._exports, state))
        how = ("-F", "-L", "STDERR", "-f", file, "-p", programs.directory / "pid")
        self._process = programs.serve("ganesha.nfsd", *how, port=PORT)

    def offer(self) -> Offer:
        """A directory."""
        name = secrets.token_hex(4)
        (self._exports / name).mkdir()
        return Offer({"server": ADDRESS, "path": f"{_SERVED_AT}/{name}"})

    def holds(self, source: Source, text: str) -> bool:
        return any_file_holds(self._exports / Path(source["path"]).name, text)

    def users(self, source: Source) -> list[str]:  # noqa: ARG002 - one connection carries all mounts
        """The addresses of those that are connected, for whichever directory."""
        return clients(self._process, PORT)


def configuration(exports: Path, state: Path) -> str:
    """Without a grace period: no client has anything to reclaim from a new server."""
    return f"""\
NFS_CORE_PARAM {{
  Protocols = 4; NFS_Port = {PORT}; Bind_addr = {ADDRESS}; Enable_UDP = false; Enable_RQUOTA = false;
}}
NFSv4 {{ Graceless = true; RecoveryRoot = "{state}"; Only_Numeric_Owners = true; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
  Export_Id = 1; Path = "{exports}"; Pseudo = "{_SERVED_AT}"; Protocols = 4; SecType = sys;
  Access_Type = RW; Squash = no_root_squash; FSAL {{ Name = VFS; }}
}}
"""
