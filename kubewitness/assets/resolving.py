"""The search: explicit directory, cache, official download, build, and for runc what the system has."""

import errno
import itertools
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from kubewitness.assets.asset import Asset, AssetError, Assets, IncompleteVersion, Origin
from kubewitness.assets.building import Preparation, build, missing_tools, prepared
from kubewitness.assets.directories import VARIABLES, from_path, in_directories
from kubewitness.assets.golang import GoError, MissingModuleError, NoSpaceError, Toolchain
from kubewitness.assets.images import archives
from kubewitness.assets.recipes import ALL, EXTRA, Bundle, bundles
from kubewitness.assets.releases import Downloader, DownloadError
from kubewitness.assets.store import Progress, Store, cache_root, no_space
from kubewitness.assets.versions import candidates, dismiss, parse

BUILD_BYTES = 7_000_000_000  # the modules, Go's own cache and the binaries of one version, measured


def resolve(version: str, names: Iterable[str] = ALL, *, progress: Progress) -> Assets:
    """Find or make every one of `names` for a Kubernetes version ("1.37" or "1.37.2").

    `progress` gets one line for each step that takes time. Raises UnknownVersion, or AssetError with all
    that was tried.
    """
    try:
        return _resolve(version, names, progress)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise no_space(Path(error.filename or cache_root()), "filling the cache", BUILD_BYTES) from error


def _resolve(version: str, names: Iterable[str], progress: Progress) -> Assets:
    search = _Search(Store(cache_root()), Toolchain.find(), Downloader(progress), progress)
    wanted = tuple(dict.fromkeys(names))
    known = [*ALL, *itertools.chain(*EXTRA.values())]
    if unknown := [name for name in wanted if name not in known]:
        raise AssetError(f"No such asset: {', '.join(unknown)}. There are: {', '.join(known)}.")
    given = in_directories(wanted)
    if of_given := _version_of(version, given):
        exact = [of_given]
    else:
        exact = candidates(version, search.store, search.go, search.downloader, progress)
    found: dict[str, Asset] = {}
    for newest, older in itertools.zip_longest(exact, exact[1:]):
        found = dict(given)
        try:
            search.complete(newest, wanted, found)
        except IncompleteVersion:
            dismiss(search.store, newest)
            if older is None:
                raise
            progress(f"Kubernetes {newest}: modules of it are missing, trying {older}")
        else:
            break
    binaries = {name: found[name] for name in wanted}
    return Assets(newest, binaries, archives(binaries, search.store, progress))


def _version_of(request: str, found: dict[str, Asset]) -> str | None:
    """The version that the binaries in explicit directories have, which must be the wanted one."""
    asked = parse(request)
    versions: dict[str, str] = {}
    for name in bundles(f"{asked.minor}.0")[0].packages:
        if name not in {"etcd", "agnhost"} and name in found and found[name].version:
            versions[found[name].version] = str(found[name].path)
    for version, path in versions.items():
        if not f"{version}.".startswith(f"{request.strip().removeprefix('v')}."):
            raise AssetError(
                f"Kubernetes {request} is wanted, but {path} is {version}. Ask for {version}, "
                f"or correct {' and '.join(VARIABLES)}."
            )
    if len(versions) > 1:
        raise AssetError(
            "The explicit directories mix versions of Kubernetes: "
            + ", ".join(f"{path} is {version}" for version, path in versions.items())
            + ". Name directories of one version."
        )
    return next(iter(versions), None)


@dataclass(frozen=True, slots=True)
class _Search:
    store: Store
    go: Toolchain | None
    downloader: Downloader
    progress: Progress
    tried: dict[str, list[str]] = field(default_factory=dict)  # by bundle

    def complete(self, version: str, wanted: Sequence[str], found: dict[str, Asset]) -> None:
        """Add all that is missing in `found` and belongs to clusters of that exact version."""
        missing: list[tuple[Bundle, list[str]]] = []
        for bundle in bundles(version):
            absent = self.look_in_cache(bundle, [name for name in bundle.packages if name in wanted], found)
            if absent:
                missing.append((bundle, absent))
        if missing:
            self.make(missing, found)

    def look_in_cache(self, bundle: Bundle, names: Sequence[str], found: dict[str, Asset]) -> list[str]:
        """Add what the cache has to `found`; the names that it has not."""
        absent: list[str] = []
        for name in names:
            if name in found:
                continue
            if cached := self.store.find(name, bundle.version, bundle.key()):
                found[name] = cached
            else:
                absent.append(name)
        return absent

    def make(self, missing: Sequence[tuple[Bundle, list[str]]], found: dict[str, Asset]) -> None:
        """Download or build what is missing.

        The short builds go first, and meanwhile the modules of the long ones arrive. All processes take
        the locks in this same order, so that none waits for one that waits for it.
        """
        self.store.remove_leftovers()
        with ExitStack() as all_places:
            under_way: list[tuple[Bundle, Preparation, ExitStack]] = []
            for bundle, names in reversed(missing):
                place = all_places.enter_context(ExitStack())
                preparation = self._start(bundle, names, found, place)
                if preparation:
                    under_way.append((bundle, preparation, place))
            for bundle, preparation, place in under_way:
                self._finish(bundle, preparation, found)
                place.close()

    def _start(
        self, bundle: Bundle, names: Sequence[str], found: dict[str, Asset], place: ExitStack
    ) -> Preparation | None:
        """Get the names by any step that is not a build, or start the build."""
        work = place.enter_context(self.store.workplace(f"{bundle.name}-{bundle.version}", self.progress))
        absent = self.look_in_cache(bundle, names, found)  # another process may have made it meanwhile
        if absent:
            absent = self._download(bundle, absent, found, work)
        if not absent:
            place.close()
            return None
        if lacking := missing_tools(bundle, self.go):
            self._note(bundle, f"build: {lacking}")
        elif self.go is not None:
            try:
                return place.enter_context(prepared(self.go, bundle, absent, work))
            except NoSpaceError as error:
                raise no_space(
                    error.path or work, f"fetching the modules of {bundle.name}", BUILD_BYTES
                ) from error
            except GoError as error:
                self._note_failure(bundle, error)
        self._last_step(bundle, absent, found)
        place.close()
        return None

    def _download(
        self, bundle: Bundle, names: Sequence[str], found: dict[str, Asset], work: Path
    ) -> list[str]:
        """Add what can be downloaded to `found`; the names that cannot."""
        absent: list[str] = []
        for name in names:
            release = bundle.releases.get(name)
            if release is None:
                self._note(bundle, f"download: there is no official one of {name}")
                absent.append(name)
                continue
            try:
                self.downloader.fetch(release, name, work / name, work)
            except DownloadError as error:
                self._note(bundle, f"download: {error}")
                absent.append(name)
            else:
                found[name] = self._keep(bundle, name, work / name, Origin.DOWNLOAD, release.version)
        return absent

    def _finish(self, bundle: Bundle, preparation: Preparation, found: dict[str, Asset]) -> None:
        try:
            built = build(preparation, self.progress)
        except NoSpaceError as error:
            raise no_space(error.path or self.store.root, f"building {bundle.name}", BUILD_BYTES) from error
        except GoError as error:
            self._note_failure(bundle, error)
            self._last_step(bundle, preparation.names, found)
            return
        for name, binary in built.items():
            found[name] = self._keep(bundle, name, binary.file, Origin.BUILD, binary.version)

    def _keep(self, bundle: Bundle, name: str, file: Path, origin: Origin, version: str) -> Asset:
        return self.store.add(file, name, bundle.version, bundle.key(), origin=origin, true_version=version)

    def _last_step(self, bundle: Bundle, names: Sequence[str], found: dict[str, Asset]) -> None:
        """The system's own runc will do, since its interface is stable; nothing else of the system will."""
        system = shutil.which("runc") if bundle.name == "runc" else None
        if system is None:
            raise AssetError(self._all_that_was_tried(bundle, names))
        self.progress(f"runc: using the system's {system}, since {'; '.join(self.tried[bundle.name])}")
        found["runc"] = from_path("runc", Path(system))

    def _note_failure(self, bundle: Bundle, error: GoError) -> None:
        self._note(bundle, f"build: {error}")
        if isinstance(error, MissingModuleError) and bundle.name == "kubernetes":
            raise IncompleteVersion(self._all_that_was_tried(bundle, tuple(bundle.packages))) from error

    def _note(self, bundle: Bundle, what: str) -> None:
        notes = self.tried.setdefault(bundle.name, [])
        if what not in notes:
            notes.append(what)
            self.progress(f"{bundle.name}: {what}")

    def _all_that_was_tried(self, bundle: Bundle, names: Sequence[str]) -> str:
        steps = [
            f"directory: not in {' or '.join(VARIABLES)}",
            f"cache: not in {self.store.root}",
            *self.tried[bundle.name],
        ]
        if bundle.name == "runc":
            steps.append("system: no runc on PATH")
        return (
            f"{', '.join(names)} ({bundle.name} {bundle.version}) cannot be had:\n"
            + "".join(f"  - {step}\n" for step in steps)
            + "Install Go (and a C compiler for runc) and give it access to modules, or allow the downloads, "
            "or put the binaries into a directory and name it in KUBEWITNESS_ASSETS."
        )
