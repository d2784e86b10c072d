"""Binaries that the user put into a directory and named in the environment."""

import os
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from kubewitness.assets.asset import Asset, AssetError, Origin
from kubewitness.assets.store import sha256_of

VARIABLES: Final = ("KUBEWITNESS_ASSETS", "KUBEBUILDER_ASSETS")
ASKING_S: Final = 10
_ASKED_OTHERWISE: Final = {
    "kubectl": ("version", "--client"), "kubeadm": ("version", "-o", "short"), "coredns": ("-version",),
}  # fmt: skip


def in_directories(names: Iterable[str]) -> dict[str, Asset]:
    """Those of `names` that lie in a named directory; KUBEWITNESS_ASSETS goes before KUBEBUILDER_ASSETS."""
    folders = [(variable, Path(os.environ[variable])) for variable in VARIABLES if os.environ.get(variable)]
    for variable, folder in folders:
        if not folder.is_dir():
            raise AssetError(f"{variable} names {folder}, which is no directory. Correct it or unset it.")
    paths: dict[str, Path] = {}
    for name in names:
        here = (folder / name for _, folder in folders)
        if path := next((path for path in here if os.access(path, os.X_OK)), None):
            paths[name] = path
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda name: from_path(name, paths[name], Origin.DIRECTORY), paths)
        return {asset.name: asset for asset in found}


def from_path(name: str, path: Path, origin: Origin = Origin.PATH) -> Asset:
    """A binary that lies where it lies, asked for its version."""
    return Asset(name, path.absolute(), _version(name, path), origin, sha256_of(path))


def _version(name: str, path: Path) -> str:
    """What the binary says that it is; "" if it says nothing, as CNI plugins may."""
    asked = [str(path), *_ASKED_OTHERWISE.get(name, ("--version",))]
    try:
        told = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASKING_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetError(
            f"{path} was to be used as {name}, but does not run: {error}. Replace it."
        ) from error
    match = re.search(r"\bv?(\d+\.\d+\.\d+)\b", told.stdout + told.stderr)
    return match[1] if match else ""
