"""Archives in the form that Linux unpacks when it boots: cpio's "newc"."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_MAGIC, _END, _BLOCK = "070701", "TRAILER!!!", 512


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, by its path below the root; ``mode`` tells its kind, too."""

    path: str
    mode: int
    data: bytes = b""


def file(path: str, data: bytes, *, permissions: int = 0o644) -> Entry:
    return Entry(path.strip("/"), stat.S_IFREG | permissions, data)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())


def folder(path: str) -> Entry:
    return Entry(path.strip("/"), stat.S_IFDIR | 0o755)


def archive(entries: Iterable[Entry]) -> bytes:
    """All entries, each after the folders that it lies in. Archives may follow one another in one file."""
    written: set[str] = set()
    packed = bytearray()
    for entry in entries:
        above = reversed(PurePosixPath(entry.path).parents[:-1])
        for each in [*(folder(str(parent)) for parent in above), entry]:
            if each.path not in written:
                written.add(each.path)
                packed += _packed(each, len(written))
    packed += _packed(Entry(_END, 0), 0)
    return bytes(_padded(packed, _BLOCK))


def _packed(entry: Entry, number: int) -> bytearray:
    name = entry.path.encode() + b"\0"
    # Inode, mode, user, group, links, time, size, two devices' numbers, length of the name, checksum.
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = _MAGIC + "".join(f"{field:08x}" for field in fields)
    return _padded(_padded(bytearray(header.encode()) + name, 4) + entry.data, 4)


def _padded(packed: bytearray, unit: int) -> bytearray:
    return packed + bytes(-len(packed) % unit)
