"""What is packed can be unpacked: in the order that it takes, and by its own header's word."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from kubewitness.clusters import cpio

HEADER = 110


def unpacked(data: bytes) -> Iterator[cpio.Entry]:
    """The entries of one archive, as cpio(5) describes it."""
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * each : at + 14 + 8 * each], 16) for each in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + HEADER : at + HEADER + length]
        assert name.endswith(b"\0")
        begin = _aligned(at + HEADER + length)
        at = _aligned(begin + size)
        if name == b"TRAILER!!!\0":
            assert not data[at:].strip(b"\0")
            return
        yield cpio.Entry(name[:-1].decode(), mode, data[begin : begin + size])


def _aligned(at: int) -> int:
    return (at + 3) // 4 * 4


def test_what_comes_out_is_what_went_in() -> None:
    packed = [
        cpio.file("init", b"#!/bin/sh\n", permissions=0o755),
        cpio.file("odd", b"12345"),
        cpio.link("sh", "/bin/busybox"),
        cpio.folder("empty"),
    ]
    assert list(unpacked(cpio.archive(packed))) == packed


def test_folders_come_once_and_before_what_lies_in_them() -> None:
    found = [*unpacked(cpio.archive([cpio.file("/a/b/one", b""), cpio.file("a/b/two", b"")]))]
    assert [each.path for each in found] == ["a", "a/b", "a/b/one", "a/b/two"]
    assert [stat.S_ISDIR(each.mode) for each in found] == [True, True, False, False]


def test_another_archive_may_follow() -> None:
    assert len(cpio.archive([cpio.file("one", b"1")])) % 512 == 0
