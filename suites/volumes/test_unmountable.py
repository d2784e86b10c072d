"""Volumes that cannot be mounted, and what their pods say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, node_of
from kubewitness.checks.workloads import equal, in_the_end, reached
from kubewitness.clusters.api import Resource, pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.states import is_ready
from suites.volumes.claiming import (
    claim,
    claimed,
    claims,
    claims_are,
    persistent_volume,
    volumes,
    volumes_are,
)
from suites.volumes.mounting import complains, idle_pod, never_start, volume
from suites.watching import Watched, all_ready, complained, events, gone

Tell = Callable[..., Story]
VOLUMES = doc("concepts/storage/volumes")
#: Volumes of which nothing exists: a server that does not answer, an object that is not there. The in-tree
#: plugins of the last two are gone since Kubernetes 1.31 and 1.26; the API goes on to take their volumes.
SOURCES: dict[str, dict[str, Any]] = {
    "secret": {"secretName": "absent"},
    "configMap": {"name": "absent"},
    "nfs": {"server": "127.0.0.1", "path": "/absent"},
    "iscsi": {"targetPortal": "127.0.0.1:3260", "iqn": "iqn.2026-01.example:absent", "lun": 0},
    "rbd": {"monitors": ["127.0.0.1:6789"], "image": "absent"},
    "glusterfs": {"endpoints": "absent", "path": "absent"},
}
#: What each kubelet says of them. Of the others it says much, by their drivers' own words.
SAID = {"secret": 'secret "absent" not found', "configmap": 'configmap "absent" not found'}
#: An NFS client goes on trying for two minutes, and a Ceph client, where a node has one, for five.
REPORTED_S = 420.0
#: A kubelet that has failed for so long looks again every two minutes.
RETRIED_S = 180.0


def unmountable_pods() -> dict[str, str]:
    """The pods' names, each with what is said of its volume."""
    return {name.lower(): SAID.get(name.lower(), f'volume "{name.lower()}"') for name in SOURCES}


@drive
def unmountable(scene: Scene) -> Watched:
    """Pods whose volumes have no source; one whose source comes late, and one that can do without."""
    namespace = scene.namespace()
    words = unmountable_pods()
    told = {}
    with scene.recording(pods(namespace), events(namespace)) as seen:
        for name, source in SOURCES.items():
            told[name] = scene.create(
                namespace, idle_pod(name.lower(), volume(name.lower(), **{name: source}))
            )
        late = scene.create(namespace, idle_pod("late", volume("late", secret={"secretName": "late"})))
        optional = volume("optional", configMap={"name": "absent", "optional": True})
        scene.create(namespace, idle_pod("optional", optional))
        expected = {**words, "late": 'secret "late" not found'}
        seen.until(
            complained(namespace, "FailedMount", expected), what="an event FailedMount of each",
            within_s=REPORTED_S,
        )  # fmt: skip
        told["late"] = scene.request("GET", pods(namespace).item("late"))
        scene.create(namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}})
        seen.until(
            all_ready(namespace, "late", "optional"), what="the others to be ready", within_s=RETRIED_S
        )
        for name in words:
            scene.delete(pods(namespace).item(name))
        seen.until(gone(pods(namespace).path, *words), what="them to be gone")
    return Watched(namespace, seen, late, told)


@behaviour(
    "volumes/missing-source-reported",
    says="A pod with a volume that cannot be mounted never starts, and a FailedMount event says why.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_missing_source_reported(unmountable: Watched, story: Tell) -> None:
    def kept(name: str) -> object:
        """What the API server kept of a source; it may have added defaults."""
        source = unmountable.told[name]["spec"]["volumes"][0].get(name, {})
        return {key: source.get(key) for key in SOURCES[name]}

    told = story(unmountable.seen.watched, unmountable.subject)
    told.must(
        equal("the sources as the API has them", SOURCES, {name: kept(name) for name in SOURCES}),
        never_start(unmountable, unmountable_pods()),
        *complains(unmountable, "FailedMount", unmountable_pods()),
        *complains(unmountable, "FailedMount", {"late": 'secret "late" not found'}),
        equal("the late one's phase before", "Pending", unmountable.told["late"]["status"].get("phase")),
        in_the_end(
            unmountable.pods, "those alone that need nothing or got it, ready",
            lambda now: sorted(metadata(each)["name"] for each in now if is_ready(each))
            == sorted(metadata(each)["name"] for each in now) == ["late", "optional"],
            lambda now: str([(metadata(each)["name"], is_ready(each)) for each in now]),
        ),
    )  # fmt: skip


ATTACHMENTS = Resource("/apis/storage.k8s.io/v1/volumeattachments")
DRIVERS = Resource("/apis/storage.k8s.io/v1/csidrivers")
GCE, EBS = "pd.csi.storage.gke.io", "ebs.csi.aws.com"
DISK = {"pdName": "absent", "fsType": "ext4"}
VOLUME = {"volumeID": "vol-0123456789abcdef0", "fsType": "ext4"}


def attachments(state: State | dict[str, Any], volume_name: str) -> list[ApiObject]:
    return [
        each
        for each in state[ATTACHMENTS.path].values()
        if each["spec"]["source"].get("persistentVolumeName") == volume_name
    ]


@drive
def in_clouds(scene: Scene) -> Watched:
    """A GCE disk inside a pod and an AWS disk behind a claim, on a cluster that has the driver of neither."""
    namespace = scene.namespace()
    disk = f"{namespace}-ebs"
    told: dict[str, Any] = {}
    with scene.recording(
        pods(namespace), events(namespace), volumes(), claims(namespace), ATTACHMENTS
    ) as seen:
        # The attach controller would wait minutes for a driver that need not attach; this one says so.
        described = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": GCE}}
        scene.create("", {**described, "spec": {"attachRequired": False}})
        made = scene.create(namespace, idle_pod("gce", volume("disk", gcePersistentDisk=DISK)))
        behind_claim = persistent_volume(disk, namespace, 1, awsElasticBlockStore=VOLUME)
        told["volume"] = scene.create("", behind_claim)
        seen.until(volumes_are("Available", disk), what="the volume to be available")
        scene.create(namespace, claim("ebs", namespace, 1))
        seen.until(
            claims_are(namespace, "Bound", "ebs"),
            what="the claim to be bound",
        )
        scene.create(namespace, idle_pod("ebs", claimed("disk", "ebs")))
        seen.until(lambda state: bool(attachments(state, disk)), what="the AWS disk to be asked for")
        seen.until(
            complained(namespace, "FailedMount", {"gce": GCE}), what="an event FailedMount", within_s=180.0
        )
        told["ebs"] = scene.request("GET", pods(namespace).item("ebs"))
        for name in ("gce", "ebs"):
            scene.delete(pods(namespace).item(name))
        seen.until(gone(pods(namespace).path, "gce", "ebs"), what="the pods to be gone")
        scene.delete(claims(namespace).item("ebs"))
        scene.delete(volumes().item(disk))
        scene.delete(DRIVERS.item(GCE))
    return Watched(namespace, seen, made, told)


@behaviour(
    "volumes/cloud-disks-translated-to-csi",
    says="A volume given as a GCE persistent disk or AWS EBS disk is handled by its CSI driver, and without"
    " the driver the pod says that it is missing.",
    kind=Kind.OBSERVED, source=VOLUMES, needs={DISRUPTION, CONTROLLERS}, since="1.23",
)  # fmt: skip
def test_cloud_disks_translated_to_csi(in_clouds: Watched, story: Tell) -> None:
    disk = f"{in_clouds.namespace}-ebs"
    node = node_of(in_clouds.told["ebs"])
    of_pod, behind_claim = in_clouds.made["spec"]["volumes"][0], in_clouds.told["volume"]["spec"]
    told = story(in_clouds.seen.watched, in_clouds.subject)
    told.must(
        equal("the GCE disk as the API has it", DISK, of_pod.get("gcePersistentDisk")),
        equal("the AWS disk as the API has it", VOLUME, behind_claim.get("awsElasticBlockStore")),
        never_start(in_clouds, ["gce", "ebs"]),
        *complains(in_clouds, "FailedMount", {"gce": f"driver name {GCE} not found"}),
        reached(
            ATTACHMENTS.path, f"the AWS disk attached to {node} by {EBS}, and by nobody as yet",
            lambda now: [
                (each["spec"]["attacher"], each["spec"]["nodeName"], each.get("status", {}).get("attached"))
                for each in now if each["spec"]["source"].get("persistentVolumeName") == disk
            ] == [(EBS, node, False)],
            lambda now: str([each["spec"] for each in now]),
        ),
    )  # fmt: skip
