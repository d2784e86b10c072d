"""Modules are loaded after those that they need."""

from __future__ import annotations

from kubewitness.clusters.guest import in_order

DEPENDENCIES = """\
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/fs/ext4/ext4.ko.xz:
"""


def test_each_comes_once_after_what_it_needs() -> None:
    found = in_order(DEPENDENCIES, ("virtio_blk", "ext4", "virtio_ring"))
    assert [path.rpartition("/")[2] for path in found] == [
        "virtio.ko", "virtio_ring.ko", "virtio_blk.ko", "ext4.ko.xz",
    ]  # fmt: skip


def test_what_is_built_in_is_not_loaded() -> None:
    assert in_order(DEPENDENCIES, ("virtio_pci",)) == []
