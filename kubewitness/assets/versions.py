"""Which exact version of Kubernetes a request means."""

import json
import re
import time
from dataclasses import dataclass
from typing import Final

from kubewitness.assets.asset import AssetError, UnknownVersion
from kubewitness.assets.golang import GoError, Toolchain
from kubewitness.assets.recipes import MINORS, bundles
from kubewitness.assets.releases import Downloader, DownloadError
from kubewitness.assets.store import Progress, Store

MODULE: Final = "k8s.io/kubernetes"
LIST_LIFETIME_S: Final = 24 * 3600
_NAMES: Final = tuple(bundles(f"{MINORS[-1]}.0")[0].packages)


@dataclass(frozen=True, slots=True)
class Request:
    """A minor ("1.37"), or an exact version with its patch."""

    minor: str
    patch: int | None


def parse(version: str) -> Request:
    """Understand "1.37", "v1.37" and "1.37.2"; UnknownVersion otherwise."""
    match = re.fullmatch(r"v?(1\.\d+)(?:\.(\d+))?", version.strip())
    if match is None or match[1] not in MINORS:
        raise UnknownVersion(
            f"Kubernetes {version!r} is not known. Known are {', '.join(MINORS)}, "
            f"each alone or with a patch such as {MINORS[-1]}.2."
        )
    return Request(match[1], int(match[2]) if match[2] else None)


def choose(
    version: str, store: Store, go: Toolchain | None, downloader: Downloader, progress: Progress
) -> str:
    """The exact version: the newest patch of a minor, or the given one if it exists."""
    request = parse(version)
    cached = _of_minor(request.minor, store.versions(_NAMES))
    if request.patch is not None and request.patch in cached:
        return f"{request.minor}.{request.patch}"
    tried: list[str] = []
    known = _of_minor(request.minor, _listed(store, go, progress, tried))
    if not known:
        known = _released(request.minor, downloader, tried)
    if request.patch is not None:
        if known and request.patch not in known:
            listed = ", ".join(f"{request.minor}.{patch}" for patch in sorted(known))
            raise UnknownVersion(f"Kubernetes {version} is not known. Known of {request.minor}: {listed}.")
        return f"{request.minor}.{request.patch}"
    if patches := known or cached:
        if not known:
            progress(f"Kubernetes {request.minor}: the newest in the cache, since {'; '.join(tried)}")
        return f"{request.minor}.{max(patches)}"
    raise AssetError(
        f"The newest patch of Kubernetes {request.minor} could not be found out: {'; '.join(tried)}; "
        f"the cache ({store.root}) holds none. Install Go and give it access to modules, "
        "or name an exact version, or set KUBEWITNESS_ASSETS to a directory that holds the binaries."
    )


def _of_minor(minor: str, versions: set[str]) -> set[int]:
    return {int(version.split(".")[2]) for version in versions if version.startswith(f"{minor}.")}


def _listed(store: Store, go: Toolchain | None, progress: Progress, tried: list[str]) -> set[str]:
    """The versions that Go's modules have, asked at most once a day."""
    file = store.root / "kubernetes-versions.json"
    try:
        remembered = json.loads(file.read_bytes())
        if 0 <= time.time() - remembered["asked"] < LIST_LIFETIME_S:
            return set(remembered["versions"])
    except (FileNotFoundError, json.JSONDecodeError):
        pass  # it was never asked, or the answer was cut off: ask
    if go is None:
        tried.append("there is no Go on PATH")
        return set()
    progress(f"Kubernetes: asking Go for the versions of {MODULE}")
    try:
        versions = go.versions(MODULE)
    except GoError as error:
        tried.append(f"Go cannot list the versions of {MODULE} ({error})")
        return set()
    store.root.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{time.monotonic_ns()}")
    draft.write_text(json.dumps({"asked": time.time(), "versions": sorted(versions)}))
    draft.rename(file)
    return versions


def _released(minor: str, downloader: Downloader, tried: list[str]) -> set[int]:
    """The patches up to the newest that was officially released: where it is, all before it are."""
    try:
        text = downloader.text(f"https://dl.k8s.io/release/stable-{minor}.txt").strip()
    except DownloadError as error:
        tried.append(str(error))
        return set()
    match = re.fullmatch(rf"v{re.escape(minor)}\.(\d+)", text)
    if match is None:
        tried.append(f"the official release list answered {text[:40]!r}")
        return set()
    return set(range(int(match[1]) + 1))
