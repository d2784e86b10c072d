"""Volumes that a node mounts over the network, with real servers beside the cluster.

That the API keeps such a volume's source, and what is said of one that cannot be mounted, is judged by
volumes/missing-source-reported on any node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.workloads import Check, contains, equal, in_the_end
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import (
    CONTROLLERS,
    EMULATED_TAINT,
    KERNEL_FUSE,
    KERNEL_ISCSI,
    KERNEL_NFS,
    KERNEL_RBD,
    mounts_label,
)
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.manifests import Manifest
from suites.volumes.mounting import mount, volume, witness_pod
from suites.watching import Watched, all_ready, events, gone

Tell = Callable[..., Story]
VOLUMES = doc("concepts/storage/volumes")
WRITER, READER = "writer", "reader"
WORDS, MORE = "/shared/words", "more of the reader"
#: A node whose kernel can mount these may be an emulated one, where all takes many times as long.
READY_S = 300.0


def words(namespace: str) -> str:
    """What the first pod writes; nobody else writes the same."""
    return f"by the writer in {namespace}"


def pod(name: str, kind: str, source: Manifest) -> Manifest:
    """A pod on a node that can mount this kind of volume."""
    return witness_pod(
        name, [mount("shared", "/shared")], [volume("shared", **{kind: source})],
        nodeSelector={mounts_label(kind): "true"},
        tolerations=[{"key": EMULATED_TAINT, "operator": "Exists"}],
    )  # fmt: skip


def in_turn(scene: Scene, kind: str) -> Watched:
    """A pod writes to a volume and is gone; a second one reads it, and may not write. The server is asked."""
    namespace = scene.namespace()
    storage = scene.storage
    told: dict[str, Any] = {}
    with scene.recording(pods(namespace), events(namespace)) as seen:
        offer = storage.offer(kind)
        source = offer.source
        for each in offer.objects:
            scene.create(namespace, each)
        made = scene.create(namespace, pod(WRITER, kind, source))
        seen.until(all_ready(namespace, WRITER), what="the writer to be ready", within_s=READY_S)
        scene.ask(namespace, WRITER, "append", path=WORDS, text=words(namespace))
        told["users"] = storage.users(kind, source)
        scene.delete(pods(namespace).item(WRITER))
        seen.until(gone(pods(namespace).path, WRITER), what="the writer to be gone", within_s=READY_S)
        told["users between"] = storage.released(kind, source)
        # Of a disk only now: a file system may keep what is written to it for a while.
        told["held"] = storage.holds(kind, source, words(namespace))

        scene.create(namespace, pod(READER, kind, {**source, "readOnly": True}))
        seen.until(all_ready(namespace, READER), what="the reader to be ready", within_s=READY_S)
        told["read"] = scene.ask(namespace, READER, "file", path=WORDS)
        told["refused"] = scene.ask(namespace, READER, "append", path=WORDS, text=MORE)
        scene.delete(pods(namespace).item(READER))
        seen.until(gone(pods(namespace).path, READER), what="the reader to be gone", within_s=READY_S)
        told["users after"] = storage.released(kind, source)
        told["more held"] = storage.holds(kind, source, MORE)
    return Watched(namespace, seen, made, told)


def shared(by: Watched) -> list[Check]:
    """Both pods and the server agree on what was written, and nothing stays mounted."""
    told = by.told
    return [
        equal(
            "whether the server holds what was written, and what was refused", (True, False),
            (told["held"], told["more held"]),
        ),
        equal("what the reader finds", words(by.namespace) + "\n", told["read"].get("content")),
        contains(
            "an error for a write to what is readOnly", "read-only file system",
            str(told["refused"].get("error")),
        ),
        equal(
            "the number of its users with the first pod, after it, and after the second", [1, 0, 0],
            [len(told[each]) for each in ("users", "users between", "users after")],
        ),
        in_the_end(by.pods, "no pod", lambda now: not now, lambda now: f"{len(now)} of them"),
    ]  # fmt: skip


@drive
def on_nfs(scene: Scene) -> Watched:
    """Two pods, one after the other, with an export of an NFS server."""
    return in_turn(scene, "nfs")


@behaviour(
    "volumes/nfs",
    says="What a pod writes to an NFS export is on the server and there for the next pod, a readOnly volume"
    " refuses writes, and the export is unmounted with the pod.",
    kind=Kind.REQUIRED, needs={CONTROLLERS, KERNEL_NFS}, source=VOLUMES,
)  # fmt: skip
def test_nfs(on_nfs: Watched, story: Tell) -> None:
    story(on_nfs.seen.watched, on_nfs.subject).must(*shared(on_nfs))


@drive
def on_iscsi(scene: Scene) -> Watched:
    """The same with a disk of an iSCSI server, which the kubelet formats."""
    return in_turn(scene, "iscsi")


@behaviour(
    "volumes/iscsi",
    says="What a pod writes to an iSCSI disk is on the server and there for the next pod, a readOnly volume"
    " refuses writes, and the node logs out of the target when the pod is gone.",
    kind=Kind.REQUIRED, needs={CONTROLLERS, KERNEL_ISCSI}, source=VOLUMES,
)  # fmt: skip
def test_iscsi(on_iscsi: Watched, story: Tell) -> None:
    story(on_iscsi.seen.watched, on_iscsi.subject).must(*shared(on_iscsi))


@drive
def on_rbd(scene: Scene) -> Watched:
    """The same with an image of a Ceph cluster."""
    return in_turn(scene, "rbd")


@behaviour(
    "volumes/rbd",
    says="What a pod writes to a Ceph block device, by the in-tree plugin, is on the server and there for the"
    " next pod, a readOnly volume refuses writes, and the device is unmapped when the pod is gone.",
    kind=Kind.REQUIRED, needs={CONTROLLERS, KERNEL_RBD}, source=VOLUMES, until="1.30",
)  # fmt: skip
def test_rbd(on_rbd: Watched, story: Tell) -> None:
    """From 1.31 on no plugin matches such a volume, which is volumes/missing-source-reported's to judge."""
    story(on_rbd.seen.watched, on_rbd.subject).must(*shared(on_rbd))


@drive
def on_glusterfs(scene: Scene) -> Watched:
    """The same with a volume of a GlusterFS server."""
    return in_turn(scene, "glusterfs")


@behaviour(
    "volumes/glusterfs",
    says="What a pod writes to a GlusterFS volume, by the in-tree plugin, is on the server and there for the"
    " next pod, a readOnly volume refuses writes, and the volume is unmounted with the pod.",
    kind=Kind.REQUIRED, needs={CONTROLLERS, KERNEL_FUSE}, source=VOLUMES, until="1.25",
)  # fmt: skip
def test_glusterfs(on_glusterfs: Watched, story: Tell) -> None:
    """From 1.26 on no plugin matches such a volume, which is volumes/missing-source-reported's to judge."""
    story(on_glusterfs.seen.watched, on_glusterfs.subject).must(*shared(on_glusterfs))
