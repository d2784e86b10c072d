"""Debian's packages, unpacked beside the system instead of installed into it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kubewitness.assets.asset import AssetError
from kubewitness.assets.store import Progress

_MERGED: Final = ("bin", "sbin", "lib", "lib64")  # links into /usr on Debian 12 and later
_UNREAD: Final = ("doc", "man", "locale", "i18n", "info", "lintian")
_KEPT_LINES: Final = 5
#: Names of one program, which a package's script, that nobody runs here, would have linked to it.
IPTABLES: Final = tuple(
    f"{family}{what}" for family in ("iptables", "ip6tables") for what in ("", "-save", "-restore")
)
XTABLES: Final = "xtables-nft-multi"


def unpack(packages: Sequence[str], tree: Path, work: Path, progress: Progress) -> None:
    """The packages with all that they depend on, unpacked into the new directory ``tree``.

    Their scripts are not run. The system's own packages, and what apt knows of them, stay as they are: apt
    gets a state of its own in ``work``, in which nothing is installed.
    """
    progress(f"fetching {', '.join(packages)} by apt")
    archives = _fetch(packages, work)
    progress(f"unpacking {len(archives)} packages")
    for name in _MERGED:
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    for archive in archives:
        _unpack(archive, tree)


def _fetch(packages: Sequence[str], work: Path) -> list[Path]:
    state, cache = work / "state", work / "cache"
    for each in (state / "lists" / "partial", cache / "archives" / "partial"):
        each.mkdir(parents=True)
    nothing_installed = state / "status"
    nothing_installed.touch()
    settings = {
        "Dir::State": state,
        "Dir::State::status": nothing_installed,
        "Dir::Cache": cache,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the user that apt has for it may not write here
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"], packages)
    _run([*apt, "--yes", "--download-only", "install", *packages], packages)
    return sorted((cache / "archives").glob("*.deb"))


def _unpack(archive: Path, tree: Path) -> None:
    unread = (f"--exclude=./usr/share/{each}" for each in _UNREAD)
    command = ["tar", "--extract", "--keep-directory-symlink", f"--directory={tree}", *unread]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as opened:
        subprocess.run(command, stdin=opened.stdout, check=True)
    if opened.returncode:
        raise AssetError(f"{archive.name} cannot be read: dpkg-deb ended with status {opened.returncode}")


def _run(command: Sequence[str], packages: Sequence[str]) -> None:
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        last = "\n".join(f"    {line}" for line in (told.stdout + told.stderr).splitlines()[-_KEPT_LINES:])
        raise AssetError(
            f"Debian's packages {', '.join(packages)} cannot be had: `apt-get {command[-1]}` says\n{last}\n"
            "  It takes Debian with package sources that can be reached; see /etc/apt/sources.list."
        )
