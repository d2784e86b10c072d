"""Which exact version of Kubernetes a request means."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any, Final

from kubewitness.assets.asset import AssetError, UnknownVersion
from kubewitness.assets.golang import GoError, Toolchain
from kubewitness.assets.recipes import INSECURE_MINOR, MINORS, bundles
from kubewitness.assets.releases import Downloader, DownloadError
from kubewitness.assets.store import Progress, Store

MODULE: Final = "k8s.io/kubernetes"
STAGING: Final = (
    "k8s.io/api"  # published with every release, as v0.X.Y; what one list misses, the other may have
)
LIST_LIFETIME_S: Final = 24 * 3600
# Of minors that get no more patches, and are too old for some lists of modules to name.
FINAL_PATCHES: Final = {INSECURE_MINOR: 16}
_FILE: Final = "kubernetes-versions.json"
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


def candidates(
    version: str, store: Store, go: Toolchain | None, downloader: Downloader, progress: Progress
) -> list[str]:
    """The exact versions: the patches of a minor, the newest first, or the given one if it exists."""
    request = parse(version)
    cached = _of_minor(request.minor, store.versions(_NAMES))
    if request.patch is not None and request.patch in cached:
        return [f"{request.minor}.{request.patch}"]
    tried: list[str] = []
    known = set(range(FINAL_PATCHES.get(request.minor, -1) + 1))
    if not known:
        known = _of_minor(request.minor, _listed(store, go, progress, tried))
    if not known:
        known = _released(request.minor, downloader, tried)
    if request.patch is not None:
        if known and request.patch not in known:
            listed = ", ".join(f"{request.minor}.{patch}" for patch in sorted(known))
            raise UnknownVersion(f"Kubernetes {version} is not known. Known of {request.minor}: {listed}.")
        return [f"{request.minor}.{request.patch}"]
    if patches := known or cached:
        if not known:
            progress(f"Kubernetes {request.minor}: the newest in the cache, since {'; '.join(tried)}")
        whole = patches - _of_minor(request.minor, set(_remembered(store).get("incomplete", [])))
        return [f"{request.minor}.{patch}" for patch in sorted(whole or patches, reverse=True)]
    raise AssetError(
        f"The newest patch of Kubernetes {request.minor} could not be found out: {'; '.join(tried)}; "
        f"the cache ({store.root}) holds none. Install Go and give it access to modules, "
        "or name an exact version, or set KUBEWITNESS_ASSETS to a directory that holds the binaries."
    )


def _of_minor(minor: str, versions: set[str]) -> set[int]:
    return {int(version.split(".")[2]) for version in versions if version.startswith(f"{minor}.")}


def _listed(store: Store, go: Toolchain | None, progress: Progress, tried: list[str]) -> set[str]:
    """The versions that Go's modules have, asked at most once a day."""
    if remembered := _remembered(store):
        return set(remembered["versions"])
    if go is None:
        tried.append("there is no Go on PATH")
        return set()
    progress(f"Kubernetes: asking Go for the versions of {MODULE}")
    try:
        listed = go.versions(MODULE, STAGING)
    except GoError as error:
        tried.append(f"Go cannot list the versions of {MODULE} ({error})")
        return set()
    staged = {re.sub(r"^0\.", "1.", each) for each in listed.get(STAGING, set()) if each.startswith("0.")}
    versions = listed.get(MODULE, set()) | staged
    _remember(store, {"asked": time.time(), "versions": sorted(versions)})
    return versions


def dismiss(store: Store, version: str) -> None:
    """Remember that modules of this version are missing, until the versions are asked for again."""
    remembered = _remembered(store) or {"asked": time.time(), "versions": []}
    _remember(store, remembered | {"incomplete": sorted({*remembered.get("incomplete", []), version})})


def _remembered(store: Store) -> dict[str, Any]:
    """The last answer of a day; {} if there is none."""
    try:
        found: dict[str, Any] = json.loads((store.root / _FILE).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}  # it was never asked, or the answer was cut off
    return found if 0 <= time.time() - found["asked"] < LIST_LIFETIME_S else {}


def _remember(store: Store, answer: dict[str, Any]) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    draft = store.root / f"{_FILE}.{time.monotonic_ns()}"
    draft.write_text(json.dumps(answer))
    draft.rename(store.root / _FILE)


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
