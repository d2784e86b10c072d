"""Volumes of a CSI driver, which keeps them on the node's disk and tells what it was called for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, node_of, uid_of
from kubewitness.checks.volumes import called_for, fits, inline_volumes, owner_of, volume_of
from kubewitness.checks.workloads import Objects, at_every_change, equal, in_the_end, reached
from kubewitness.clusters.api import pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, CSI_DRIVER
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.states import phase
from suites.volumes import driver
from suites.volumes.claiming import claim, claimed, claims, claims_are, volumes
from suites.volumes.driver import CSI_NODES, driver_name, registrations, topology_key
from suites.volumes.mounting import mount, witness_pod
from suites.watching import Watched, all_ready, gone

Tell = Callable[..., Story]
USERS = ("first", "second")
MOUNTS = [mount("inline", "/inline"), mount("data", "/data")]
#: A driver and a provisioner on each node, beside whatever else starts.
START_S = 120.0
USED = ["NodePublishVolume", "NodeUnpublishVolume"]


def of_class(found: Objects, name: str) -> Objects:
    return [each for each in found if each["spec"].get("storageClassName") == name]


def none_of_class(name: str) -> Callable[[State], bool]:
    return lambda state: not of_class([*state[volumes().path].values()], name)


@drive
def served(scene: Scene) -> Watched:
    """Two pods, one after the other, that have an inline volume and the same claim."""
    namespace = scene.namespace()
    name = driver_name(namespace)
    told: dict[str, Any] = {}
    with scene.recording(pods(namespace), claims(namespace), volumes(), CSI_NODES) as seen:
        driver.install(scene, namespace)
        seen.until(
            driver.is_installed(namespace, scene.nodes),
            what="the driver to be on every node",
            within_s=START_S,
        )
        made = scene.create(namespace, claim("data", name, 1))
        for user in USERS:
            both = [driver.inline("inline", name), claimed("data", "data")]
            told[user] = scene.create(namespace, witness_pod(user, MOUNTS, both))
            seen.until(all_ready(namespace, user), what=f"the {user} to be ready")
            seen.until(claims_are(namespace, "Bound", "data"), what="the claim to be bound")
            for place in ("inline", "data"):
                scene.ask(namespace, user, "append", path=f"/{place}/words", text=user)
                told[f"{user} {place}"] = scene.ask(namespace, user, "file", path=f"/{place}/words")
            scene.delete(pods(namespace).item(user))
            seen.until(gone(pods(namespace).path, user), what=f"the {user} to be gone")
        scene.delete(claims(namespace).item("data"))
        seen.until(gone(claims(namespace).path, "data"), what="the claim to be gone")
        seen.until(none_of_class(name), what="its volume to be gone")
        told["calls"] = driver.calls(scene, namespace)
        scene.delete(driver.daemon_sets(namespace).item(driver.APP))
        seen.until(driver.is_uninstalled(namespace), what="the driver to be gone")
        driver.uninstall(scene, namespace)
    return Watched(namespace, seen, made, told)


def source(volume: ApiObject) -> dict[str, Any]:
    return dict(volume["spec"].get("csi") or {})


def places(volume: ApiObject) -> list[tuple[str, list[str]]]:
    """The labels of nodes, each with its values, where a volume can be used."""
    affinity = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    return [
        (each["key"], each["values"])
        for term in affinity.get("nodeSelectorTerms", [])
        for each in term["matchExpressions"]
    ]


def nodes_of_users(served: Watched) -> dict[str, str]:
    changed = [each.object for each in served.seen.watched.changes if each.collection == served.pods]
    return {metadata(each)["name"]: node_of(each) for each in changed if metadata(each)["name"] in USERS}


@behaviour(
    "volumes/csi-ephemeral-and-persistent",
    says="A CSI driver serves an inline ephemeral volume and a dynamically provisioned persistent one.",
    kind=Kind.REQUIRED, source=doc("concepts/storage/volumes"), needs={CONTROLLERS, CSI_DRIVER},
    since="1.16",
)  # fmt: skip
def test_csi_ephemeral_and_persistent(served: Watched, story: Tell) -> None:
    name, owner, nodes = driver_name(served.namespace), uid_of(served.made), nodes_of_users(served)
    made = of_class(
        [each.object for each in served.seen.watched.changes if each.collection == volumes().path], name
    )
    names = {metadata(each)["name"] for each in made}
    handles = sorted({str(source(each).get("volumeHandle")) for each in made})
    calls: dict[str, list[dict[str, Any]]] = served.told["calls"]

    def described(volume: ApiObject) -> dict[str, Any]:
        return {
            "driver": source(volume).get("driver"),
            "maker": (metadata(volume).get("annotations") or {}).get("pv.kubernetes.io/provisioned-by"),
            "owner": owner_of(volume),
            "policy": volume["spec"].get("persistentVolumeReclaimPolicy"),
            "where": places(volume),
            "fits": fits(served.made, volume),
            "phase": phase(volume),
        }

    def tell_volumes(now: Objects) -> str:
        return str([described(each) for each in of_class(now, name)])

    def tell_claims(now: Objects) -> str:
        return str([(phase(each), volume_of(each)) for each in now])

    def done(volume: str) -> dict[str, list[str]]:
        """What was done with a volume, on the nodes that did anything."""
        return {node: methods for node, its in calls.items() if (methods := called_for(its, volume))}

    wanted = {
        "driver": name, "maker": name, "owner": owner, "policy": "Delete",
        "where": [(topology_key(name), [nodes["first"]])], "fits": True, "phase": "Bound",
    }  # fmt: skip
    contents = {
        "first inline": "first\n", "second inline": "second\n",
        "first data": "first\n", "second data": "first\nsecond\n",
    }  # fmt: skip
    inline = {
        user: [
            done(each) for its in calls.values() for each in inline_volumes(its, uid_of(served.told[user]))
        ]
        for user in USERS
    }
    told = story(served.seen.watched, served.subject)
    told.must(
        equal("what the pods find", contents, {key: served.told[key].get("content") for key in contents}),
        reached(
            volumes().path, f"a volume that is {wanted}",
            lambda now: any(described(each) == wanted for each in of_class(now, name)), tell_volumes,
        ),
        at_every_change(
            volumes().path, "no volume but the claim's",
            lambda now: [owner_of(each) for each in of_class(now, name)] in ([], [owner]), tell_volumes,
            since=lambda now: bool(of_class(now, name)),
        ),
        at_every_change(
            claims(served.namespace).path, f"the claim, while there is one, bound to {names}",
            lambda now: all(phase(each) == "Bound" and {volume_of(each)} == names for each in now),
            tell_claims, since=lambda now: any(phase(each) == "Bound" for each in now),
        ),
        in_the_end(
            volumes().path, "the volume gone with its claim", lambda now: not of_class(now, name),
            tell_volumes,
        ),
        in_the_end(claims(served.namespace).path, "no claim", lambda now: not now, tell_claims),
        equal("the second pod's node", nodes["first"], nodes["second"]),
        equal(
            "what was done with the claim's volume",
            [{nodes["first"]: ["CreateVolume", *USED, *USED, "DeleteVolume"]}],
            [done(each) for each in handles],
        ),
        equal(
            "what was done with each pod's own volume", {user: [{nodes[user]: USED}] for user in USERS},
            inline,
        ),
    )  # fmt: skip


@behaviour(
    "volumes/csi-node-lists-driver",
    says="A node's CSINode lists a CSI driver that is registered with its kubelet, until the driver is gone.",
    kind=Kind.REQUIRED, source=doc("reference/kubernetes-api/storage/csi-node-v1"),
    needs={CONTROLLERS, CSI_DRIVER}, since="1.17",
)  # fmt: skip
def test_csi_node_lists_driver(served: Watched, story: Tell) -> None:
    name = driver_name(served.namespace)
    calls: dict[str, list[dict[str, Any]]] = served.told["calls"]
    registered = {"pluginRegistered": True}
    words = {
        node: [each["request"] for each in its if each["method"] == "NotifyRegistrationStatus"][-1:]
        for node, its in calls.items()
    }

    def listed(now: Objects) -> dict[str, list[tuple[str, list[str] | None]]]:
        return {
            metadata(each)["name"]: [
                (its["nodeID"], its.get("topologyKeys")) for its in registrations(each, name)
            ]
            for each in now
            if registrations(each, name)
        }

    told = story(served.seen.watched, served.subject)
    told.must(
        equal("what the kubelets told the drivers", {node: [registered] for node in calls}, words),
        reached(
            CSI_NODES.path, "every node with its name and the label that tells it from others",
            lambda now: listed(now) == {node: [(node, [topology_key(name)])] for node in calls},
            lambda now: str(listed(now)),
        ),
        in_the_end(CSI_NODES.path, "no node", lambda now: not listed(now), lambda now: str(listed(now))),
    )  # fmt: skip
