"""Official releases: fetched over HTTP(S), believed only if the checksum is the published one."""

import errno
import os
import tarfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from kubewitness.assets.asset import AssetError
from kubewitness.assets.recipes import Release
from kubewitness.assets.store import Progress, sha256_of

REACH_TIMEOUT_S: Final = 3.0
BLOCK_BYTES: Final = 1 << 20


class DownloadError(Exception):
    """This file cannot be had by download here; another step may give it."""


@dataclass(slots=True)
class Downloader:
    """Fetches official files; a host that cannot be reached is tried once.

    `mirror` (KUBEWITNESS_MIRROR) replaces "https://" of every URL, so that it must serve
    <mirror>/dl.k8s.io/… and <mirror>/github.com/….
    """

    progress: Progress
    mirror: str = field(default_factory=lambda: os.environ.get("KUBEWITNESS_MIRROR", ""))
    _unreachable: dict[str, str] = field(default_factory=dict)

    def text(self, url: str) -> str:
        with self._open(url) as answer:
            return answer.read().decode(errors="replace")

    def fetch(self, release: Release, name: str, target: Path, work: Path) -> None:
        """Write the binary `name` to `target`; DownloadError if it cannot be had.

        An archive stays in `work`, for the next of its binaries. A wrong checksum is an AssetError: no
        other step may hide that somebody tampers.
        """
        url = release.url.format(name=name)
        archive = work / f"downloaded-{url.rsplit('/', 1)[1]}"
        if not archive.exists():
            self._fetch_checked(url, release.checksums.format(name=name), archive)
        if release.member:
            _unpack(archive, release.member.format(name=name), target)
        else:
            archive.rename(target)
        target.chmod(0o755)

    def _fetch_checked(self, url: str, checksums: str, target: Path) -> None:
        wanted = _checksum_for(url.rsplit("/", 1)[1], self.text(checksums), checksums)
        self.progress(f"downloading {self._mirrored(url)}")
        try:
            with self._open(url) as answer, target.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    file.write(block)
        except OSError as error:
            target.unlink(missing_ok=True)
            if error.errno == errno.ENOSPC:
                raise
            raise DownloadError(f"the download of {self._mirrored(url)} broke off: {error}") from error
        found = sha256_of(target)
        if found != wanted:
            target.unlink()
            raise AssetError(
                f"The checksum of {self._mirrored(url)} is wrong: {self._mirrored(checksums)} says {wanted}, "
                f"but what came is {found}. Nothing of it was kept. Try again; if it stays wrong, somebody "
                "between here and there alters it."
            )

    def _mirrored(self, url: str) -> str:
        return f"{self.mirror.rstrip('/')}/{url.removeprefix('https://')}" if self.mirror else url

    def _open(self, url: str) -> IO[bytes]:
        url = self._mirrored(url)
        host = urlsplit(url).netloc
        if host in self._unreachable:
            raise DownloadError(self._unreachable[host])
        try:
            return _opened_in_time(url)
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadError(f"{url} answered {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            self._unreachable[host] = f"{host} cannot be reached ({reason})"
            raise DownloadError(self._unreachable[host]) from error


def _opened_in_time(url: str) -> IO[bytes]:
    """The open answer. Only in a thread of its own can looking up a name be given up."""
    answers: list[IO[bytes]] = []
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            answers.append(urllib.request.urlopen(url, timeout=REACH_TIMEOUT_S))  # noqa: S310 (from our table)
        except (OSError, ValueError) as error:
            errors.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(2 * REACH_TIMEOUT_S)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {2 * REACH_TIMEOUT_S:.0f} s")
    return answers[0]


def _checksum_for(file: str, listing: str, url: str) -> str:
    """From a bare checksum, or from lines of "checksum  file"."""
    for line in listing.splitlines():
        match line.split():
            case [checksum] if len(checksum) == 64:
                return checksum
            case [checksum, name] if name.lstrip("*").removeprefix("./") == file:
                return checksum
    raise DownloadError(f"{url} has no checksum of {file}")


def _unpack(archive: Path, member: str, target: Path) -> None:
    try:
        with tarfile.open(archive) as tar, target.open("wb") as out:
            source = tar.extractfile(member)
            if source is None:
                raise DownloadError(f"{archive.name}: {member} is not a file")
            while block := source.read(BLOCK_BYTES):
                out.write(block)
    except (KeyError, tarfile.TarError) as error:
        raise DownloadError(f"{archive.name} does not hold {member}: {error}") from error
