"""Which container images are written, and their cached archives."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kubewitness.assets.asset import Asset, Origin
from kubewitness.assets.oci import Image, write_archive
from kubewitness.assets.recipes import architecture
from kubewitness.assets.store import Progress, Store

LAYOUT: Final = 1  # raised when an archive's bytes change, so that no cache serves older ones
WITNESS: Final = "kubewitness.example/witness:1"
PAUSE: Final = "registry.k8s.io/pause:3.10.2"
CSI_DRIVER: Final = "kubewitness.example/csi-driver:1"
CSI_PROVISIONER: Final = "registry.k8s.io/sig-storage/csi-provisioner:v6.4.0"


def images_of(binary: Asset) -> tuple[Image, ...]:
    """The images that consist of this binary."""
    version = binary.version or "unknown"
    match binary.name:
        case "agnhost":
            return (
                Image(f"registry.k8s.io/e2e-test-images/agnhost:{version}", ["/agnhost"], ["pause"]),
                Image(PAUSE, ["/agnhost", "pause"]),
            )
        case "coredns":
            return (Image(f"registry.k8s.io/coredns/coredns:v{version}", ["/coredns"]),)
        case "witness":
            return (Image(WITNESS, ["/witness"], ["serve"]),)
        case "csi-driver":
            return (Image(CSI_DRIVER, ["/csi-driver"]),)
        case "csi-provisioner":
            return (Image(CSI_PROVISIONER, ["/csi-provisioner"]),)
        case _:
            return ()


def archives(binaries: Mapping[str, Asset], store: Store, progress: Progress) -> dict[str, Path]:
    """The archive of each image reference, from the cache or written now."""
    return {
        reference: path
        for binary in binaries.values()
        if (images := images_of(binary))
        for path in [_archive(binary, images, store, progress)]
        for reference in (image.reference for image in images)
    }


def _archive(binary: Asset, images: tuple[Image, ...], store: Store, progress: Progress) -> Path:
    name, version = f"{binary.name}-image.tar", binary.version or "unknown"
    key = hashlib.sha256(repr((LAYOUT, binary.sha256, images, architecture())).encode()).hexdigest()[:12]
    if found := store.find(name, version, key):
        return found.path
    with store.workplace(name, progress) as work:
        if found := store.find(name, version, key):  # another process wrote it while this one waited
            return found.path
        progress(f"{name}: writing {', '.join(image.reference for image in images)}")
        write_archive(work / name, binary.path, images, architecture())
        added = store.add(work / name, name, version, key, origin=Origin.BUILD, true_version=version)
    return added.path
