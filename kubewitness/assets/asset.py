"""What the search for binaries and images yields, and how it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Origin(StrEnum):
    """The step of the search that gave an asset."""

    DIRECTORY = "directory"
    CACHE = "cache"
    DOWNLOAD = "download"
    BUILD = "build"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Asset:
    """One executable file.

    `version` has no leading v; it is "" for a file from an explicit directory that cannot tell its version.
    `sha256` is in hex.
    """

    name: str
    path: Path
    version: str
    origin: Origin
    sha256: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All that was asked for, of one exact version of Kubernetes ("1.37.2").

    `images` has the OCI archive (a tar file) that holds each image reference.
    """

    kubernetes: str
    binaries: Mapping[str, Asset]
    images: Mapping[str, Path]

    def path(self, name: str) -> Path:
        """The executable of that name; KeyError if it was not asked for."""
        return self.binaries[name].path

    def facts(self) -> list[dict[str, Any]]:
        """What a run's results tell of each binary."""
        return [
            {"name": each.name, "version": each.version, "origin": str(each.origin), "sha256": each.sha256}
            for each in self.binaries.values()
        ]


class AssetError(Exception):
    """Something cannot be had. The message says what was tried and what to do."""


class IncompleteVersion(AssetError):
    """Modules of that very version are missing where Go looks for them; another patch may have them all."""


class UnknownVersion(AssetError):
    """No Kubernetes of that version is known. The message lists those that are."""
