"""Who gets which volume, when, for how long and for how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata, node_of, uid_of
from kubewitness.checks.volumes import fits, owner_of, volume_of
from kubewitness.checks.workloads import Objects, at_every_change, equal, in_the_end, reached
from kubewitness.clusters.api import Resource, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION, SHARED_DISK, TWO_NODES
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.states import has_ended, is_ready, is_terminating, phase
from suites.volumes.claiming import (
    ROX,
    RWO,
    RWOP,
    RWX,
    claim,
    claimed,
    claims,
    claims_are,
    directory,
    persistent_volume,
    volumes,
    volumes_are,
)
from suites.volumes.mounting import ON_NODE, complains, host_path, idle_pod, mount, witness_pod
from suites.watching import Watched, all_ready, complained, events, gone, named

Tell = Callable[..., Story]
PERSISTENT = doc("concepts/storage/persistent-volumes")


def tell_claims(now: Objects) -> str:
    return str({metadata(each)["name"]: (phase(each), volume_of(each)) for each in now})


@drive
def matched(scene: Scene) -> Watched:
    """Four volumes and four claims, of which the last finds none that is free."""
    namespace = scene.namespace()
    other = f"{namespace}-other"

    def offer(name: str, storage_class: str, size: int, *modes: str) -> ApiObject:
        path = directory(f"{ON_NODE}/{namespace}/{name}")
        manifest = persistent_volume(f"{namespace}-{name}", storage_class, size, *modes, hostPath=path)
        return scene.create("", manifest)

    with scene.recording(volumes(), claims(namespace), events(namespace)) as seen:
        offered = [
            offer("small", namespace, 1, RWO),
            offer("other", other, 2, RWO),
            offer("shared", namespace, 3, RWX, ROX),
            offer("big", namespace, 5, RWO),
        ]
        names = [metadata(each)["name"] for each in offered]
        seen.until(volumes_are("Available", *names), what="the volumes to be available")
        # One after the other: the first would also fit what the second gets.
        for made in (
            claim("two", namespace, 2, RWO), claim("one", namespace, 1, RWO), claim("many", namespace, 1, RWX)
        ):  # fmt: skip
            scene.create(namespace, made)
            seen.until(claims_are(namespace, "Bound", metadata(made)["name"]), what="a claim to be bound")
        late = scene.create(namespace, claim("late", namespace, 1, RWO))
        # There is no such class to make a volume by: the controller has looked for one that is free before.
        seen.until(complained(namespace, "ProvisioningFailed", {"late": namespace}), what="none to be left")
        for name in ("two", "one", "many", "late"):
            scene.delete(claims(namespace).item(name))
        for name in names:
            scene.delete(volumes().item(name))
    return Watched(namespace, seen, late)


@behaviour(
    "volumes/pvc-binds-matching-pv",
    says="A claim is bound to a volume that offers its class, access modes and at least its size, one claim"
    " to one volume.",
    kind=Kind.REQUIRED, source=PERSISTENT, needs={DISRUPTION, CONTROLLERS},
)  # fmt: skip
def test_pvc_binds_matching_pv(matched: Watched, story: Tell) -> None:
    offered = {
        metadata(each.object)["name"]: each.object
        for each in matched.seen.watched.changes
        if each.collection == volumes().path and phase(each.object) == "Bound"
    }

    def taken(now: Objects) -> list[str]:
        return sorted(filter(None, map(volume_of, now)))

    def bound(now: Objects) -> Objects:
        return [each for each in now if phase(each) == "Bound"]

    wanted = {
        "two": f"{matched.namespace}-big",
        "one": f"{matched.namespace}-small",
        "many": f"{matched.namespace}-shared",
        "late": "",
    }
    told = story(matched.seen.watched, matched.subject)
    told.must(
        at_every_change(
            claims(matched.namespace).path, "a fitting volume of its own for each claim that is bound",
            lambda now: len(set(taken(now))) == len(taken(now))
            and all(
                fits(each, offered.get(volume_of(each), {}))
                and owner_of(offered.get(volume_of(each), {})) == uid_of(each)
                for each in bound(now)
            ),
            tell_claims, since=lambda now: bool(bound(now)),
        ),
        reached(
            claims(matched.namespace).path, f"claims and their volumes {wanted}",
            lambda now: {metadata(each)["name"]: volume_of(each) for each in now} == wanted
            and [phase(each) for each in now].count("Bound") == 3, tell_claims,
        ),
        at_every_change(
            claims(matched.namespace).path, "the late one to have none",
            lambda now: not volume_of(named(now, "late")), tell_claims,
        ),
    )  # fmt: skip


CLASSES = Resource("/apis/storage.k8s.io/v1/storageclasses")


def local_volume(namespace: str, name: str, node: str) -> dict[str, Any]:
    """A directory of one node, which only pods on that node can have."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return persistent_volume(
        f"{namespace}-{name}", namespace, 1, labels={"for": name},
        local={"path": f"{ON_NODE}/{namespace}"},
        nodeAffinity={"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    )  # fmt: skip


@drive
def local(scene: Scene) -> Watched:
    """Local volumes on two nodes, claims that wait for pods, and a pod that is to go elsewhere."""
    namespace, holders = scene.namespace(), scene.nodes[-2:]
    told: dict[str, Any] = {"holders": holders}
    with scene.recording(pods(namespace), volumes(), claims(namespace), events(namespace)) as seen:
        base = host_path("base", f"{ON_NODE}/{namespace}", "DirectoryOrCreate")
        makers = [f"maker-{node}" for node in holders]
        for node, maker in zip(holders, makers, strict=True):
            scene.create(namespace, witness_pod(maker, [mount("base", "/base")], [base], nodeName=node))
        scene.create(
            "",
            {
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": namespace},
                "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
            },
        )  # fmt: skip
        homes = {**{node: node for node in holders}, "idle": holders[0]}
        for name, node in homes.items():
            scene.create("", local_volume(namespace, name, node))
        waiting = dict.fromkeys(homes, "waiting for first consumer")
        made = {
            name: scene.create(namespace, claim(name, namespace, 1, selector={"matchLabels": {"for": name}}))
            for name in homes
        }
        seen.until(
            volumes_are("Available", *(f"{namespace}-{name}" for name in homes)),
            what="the volumes to be there",
        )
        seen.until(complained(namespace, "WaitForFirstConsumer", waiting), what="the claims to wait")
        seen.until(all_ready(namespace, *makers), what="the makers to be ready")
        for node, maker in zip(holders, makers, strict=True):
            scene.ask(namespace, maker, "append", path="/base/name", text=node)
        told["waiting"] = scene.request("GET", claims(namespace).path)["items"]
        for node in holders:
            scene.create(
                namespace, witness_pod(f"user-{node}", [mount("data", "/data")], [claimed("data", node)])
            )
        seen.until(all_ready(namespace, *(f"user-{node}" for node in holders)), what="the users to be ready")
        seen.until(claims_are(namespace, "Bound", *holders), what="their claims to be bound")
        for node in holders:
            told[node] = scene.ask(namespace, f"user-{node}", "file", path="/data/name")
        elsewhere = {"kubernetes.io/hostname": holders[1]}
        scene.create(namespace, idle_pod("misplaced", claimed("data", holders[0]), nodeSelector=elsewhere))
        seen.until(
            complained(namespace, "FailedScheduling", {"misplaced": "node affinity"}),
            what="one to be refused",
        )
        for maker in makers:
            scene.ask(namespace, maker, "remove", path="/base/name")
    return Watched(namespace, seen, made["idle"], told)


@behaviour(
    "volumes/pvc-wait-for-first-consumer",
    says="Under WaitForFirstConsumer a claim stays unbound until a pod that uses it is scheduled.",
    kind=Kind.REQUIRED, source=doc("concepts/storage/storage-classes"), needs={DISRUPTION, CONTROLLERS},
)  # fmt: skip
def test_pvc_wait_for_first_consumer(local: Watched, story: Tell) -> None:
    holders = local.told["holders"]
    waiting = dict.fromkeys(("idle", *holders), ("Pending", ""))
    bound = {name: ("Bound", f"{local.namespace}-{name}") for name in holders}

    def found(now: Objects) -> dict[str, tuple[str, str]]:
        return {metadata(each)["name"]: (phase(each), volume_of(each)) for each in now}

    told = story(local.seen.watched, local.subject)
    told.must(
        equal("the claims before there was a pod", waiting, found(local.told["waiting"])),
        *complains(local, "WaitForFirstConsumer", dict.fromkeys(waiting, "waiting for first consumer")),
        in_the_end(
            claims(local.namespace).path, "the claims that pods use bound, and the idle one not",
            lambda now: found(now) == {**bound, "idle": waiting["idle"]}, tell_claims,
        ),
    )  # fmt: skip


@behaviour(
    "volumes/local-pv-node-affinity",
    says="A pod that uses a local volume is scheduled to the node that has it.",
    kind=Kind.REQUIRED, source=doc("concepts/storage/volumes"), needs={DISRUPTION, TWO_NODES, CONTROLLERS},
)  # fmt: skip
def test_local_pv_node_affinity(local: Watched, story: Tell) -> None:
    holders = local.told["holders"]

    def places(now: Objects) -> dict[str, str]:
        return {node: node_of(named(now, f"user-{node}")) for node in holders}

    told = story(local.seen.watched, local.subject)
    told.must(
        # Not in the end: a pod that is ready may be unready again for a while, on a busy host.
        reached(
            local.pods, "each pod on its volume's node, ready",
            lambda now: all(is_ready(named(now, f"user-{node}")) for node in holders)
            and places(now) == {node: node for node in holders}, lambda now: str(places(now)),
        ),
        equal(
            "what the pods find in their volumes", [f"{node}\n" for node in holders],
            [local.told[node].get("content") for node in holders],
        ),
        at_every_change(
            local.pods, "the misplaced one on no node", lambda now: not node_of(named(now, "misplaced")),
            lambda now: node_of(named(now, "misplaced")), since=lambda now: bool(named(now, "misplaced")),
        ),
        *complains(local, "FailedScheduling", {"misplaced": "node affinity"}),
    )  # fmt: skip


@drive
def released(scene: Scene) -> Watched:
    """Volumes and claims that are deleted while they are in use, and what is left when they are free."""
    namespace = scene.namespace()
    # Below /tmp, since nothing else of a node's disk is deleted by the controller manager itself.
    parent = "/tmp"  # noqa: S108 - a path on the nodes of a test cluster
    policies = {"kept": "Retain", "dropped": "Delete", "bound": "Retain", "free": "Retain"}
    told: dict[str, Any] = {}

    def path(name: str) -> str:
        return f"{namespace}-{name}"

    with scene.recording(pods(namespace), volumes(), claims(namespace)) as seen:
        for name, policy in policies.items():
            # A class of its own for each, so that no claim can take another's.
            manifest = persistent_volume(
                path(name), path(name), 1, hostPath=directory(f"{parent}/{namespace}/{name}"),
                persistentVolumeReclaimPolicy=policy,
            )  # fmt: skip
            scene.create("", manifest)
        seen.until(volumes_are("Available", *map(path, policies)), what="the volumes to be available")
        used = [scene.create(namespace, claim(name, path(name), 1)) for name in ("kept", "dropped", "bound")]
        seen.until(claims_are(namespace, "Bound", "kept", "dropped", "bound"), what="the claims to be bound")
        mounts = [mount("kept", "/kept"), mount("dropped", "/dropped")]
        user = witness_pod(
            "user", mounts, [claimed(each, each) for each in ("kept", "dropped")], nodeName=scene.nodes[0]
        )
        scene.create(namespace, user)
        seen.until(all_ready(namespace, "user"), what="the user to be ready")
        node = host_path("node", parent, "Directory")
        scene.create(
            namespace, witness_pod("looker", [mount("node", "/node")], [node], nodeName=scene.nodes[0])
        )
        seen.until(all_ready(namespace, "looker"), what="the looker to be ready")
        for name in ("kept", "dropped"):
            scene.ask(namespace, "user", "append", path=f"/{name}/words", text=name)

        # In use: two claims by a pod, one volume by a claim. Then one of each that is not, which shows that
        # the controllers have come to it.
        for name in ("kept", "dropped"):
            scene.delete(claims(namespace).item(name))
        scene.delete(volumes().item(path("bound")))
        scene.delete(volumes().item(path("free")))
        seen.until(gone(volumes().path, path("free")), what="the volume that is free to be gone")
        told["bound volume"] = scene.request("GET", volumes().item(path("bound")))
        scene.delete(claims(namespace).item("bound"))
        seen.until(gone(claims(namespace).path, "bound"), what="the claim that no pod uses to be gone")
        seen.until(gone(volumes().path, path("bound")), what="its volume to be gone")
        told["used claims"] = scene.request("GET", claims(namespace).path)["items"]
        for name in ("kept", "dropped"):
            told[f"{name} in use"] = scene.ask(
                namespace, "looker", "file", path=f"/node/{namespace}/{name}/words"
            )

        scene.delete(pods(namespace).item("user"))
        seen.until(gone(claims(namespace).path, "kept", "dropped"), what="the claims to be gone")
        seen.until(gone(volumes().path, path("dropped")), what="the volume under Delete to be gone")
        seen.until(volumes_are("Released", path("kept")), what="the volume under Retain to be released")
        for name in ("kept", "dropped"):
            told[name] = scene.ask(namespace, "looker", "file", path=f"/node/{namespace}/{name}/words")
        told["kept volume"] = scene.request("GET", volumes().item(path("kept")))
        scene.ask(namespace, "looker", "remove", path=f"/node/{namespace}")
        scene.delete(volumes().item(path("kept")))
    return Watched(namespace, seen, used[0], told)


@behaviour(
    "volumes/pvc-in-use-protection",
    says="A claim that a pod uses, and a volume that is bound, are not removed before they are free.",
    kind=Kind.REQUIRED, source=PERSISTENT, needs={DISRUPTION, CONTROLLERS},
)  # fmt: skip
def test_pvc_in_use_protection(released: Watched, story: Tell) -> None:
    bound = released.told["bound volume"]
    told = story(released.seen.watched, released.subject)
    told.must(
        equal(
            "the claims in use, all to end", {"kept": True, "dropped": True},
            {metadata(each)["name"]: is_terminating(each) for each in released.told["used claims"]},
        ),
        equal("the bound volume, to end", (True, "Bound"), (is_terminating(bound), phase(bound))),
        equal("the files in use", ["kept\n", "dropped\n"], files(released, "kept in use", "dropped in use")),
        in_the_end(
            claims(released.namespace).path, "no claim to be left", lambda now: not now, tell_claims
        ),
        in_the_end(
            volumes().path, "none to be left of the volume that was bound and of the one that was free",
            lambda now: not named(now, f"{released.namespace}-bound")
            and not named(now, f"{released.namespace}-free"),
            lambda now: str([metadata(each)["name"] for each in now]),
        ),
    )  # fmt: skip


def files(watched: Watched, *names: str) -> list[str | None]:
    return [watched.told[each].get("content") for each in names]


@behaviour(
    "volumes/pv-reclaim-policies",
    says="When its claim is deleted a volume stays, Released, under Retain and is removed with its storage"
    " under Delete.",
    kind=Kind.REQUIRED, source=PERSISTENT, needs={DISRUPTION, CONTROLLERS, SHARED_DISK},
)  # fmt: skip
def test_pv_reclaim_policies(released: Watched, story: Tell) -> None:
    kept = released.told["kept volume"]
    told = story(released.seen.watched, released.subject)
    told.must(
        equal("the volume under Retain", "Released", phase(kept)),
        equal("the claim that it was released by", uid_of(released.made), owner_of(kept)),
        equal("the files before", ["kept\n", "dropped\n"], files(released, "kept in use", "dropped in use")),
        equal("the files after", ["kept\n", None], files(released, "kept", "dropped")),
        in_the_end(
            volumes().path, "no volume to be left under Delete",
            lambda now: not named(now, f"{released.namespace}-dropped"),
            lambda now: str([metadata(each)["name"] for each in now]),
        ),
    )  # fmt: skip


@drive
def exclusive(scene: Scene) -> Watched:
    """Two pods that want one claim, of which only one pod may make use."""
    namespace = scene.namespace()
    disk = f"{namespace}-exclusive"
    with scene.recording(pods(namespace), volumes(), claims(namespace), events(namespace)) as seen:
        path = directory(f"{ON_NODE}/{namespace}")
        scene.create("", persistent_volume(disk, namespace, 1, RWOP, hostPath=path))
        seen.until(volumes_are("Available", disk), what="the volume to be available")
        scene.create(namespace, claim("exclusive", namespace, 1, RWOP))
        seen.until(claims_are(namespace, "Bound", "exclusive"), what="the claim to be bound")
        scene.create(namespace, idle_pod("first", claimed("data", "exclusive")))
        seen.until(all_ready(namespace, "first"), what="the first to be ready")
        second = scene.create(namespace, idle_pod("second", claimed("data", "exclusive")))
        seen.until(
            complained(namespace, "FailedScheduling", {"second": RWOP}), what="the second to be refused"
        )
        scene.delete(pods(namespace).item("first"))
        seen.until(gone(pods(namespace).path, "first"), what="the first to be gone")
        seen.until(all_ready(namespace, "second"), what="the second to be ready")
    return Watched(namespace, seen, second)


@behaviour(
    "volumes/access-modes",
    says="A second pod that wants a ReadWriteOncePod claim does not run while the first one does.",
    kind=Kind.REQUIRED, source=PERSISTENT, needs={DISRUPTION, CONTROLLERS}, since="1.27",
)  # fmt: skip
def test_access_modes(exclusive: Watched, story: Tell) -> None:
    def using(now: Objects) -> list[str]:
        """Those that a node runs or is to run. One that has ended may go on to be listed."""
        return sorted(metadata(each)["name"] for each in now if node_of(each) and not has_ended(each))

    told = story(exclusive.seen.watched, exclusive.subject)
    told.must(
        at_every_change(
            exclusive.pods, "one pod alone on a node", lambda now: len(using(now)) <= 1,
            lambda now: str(using(now)), since=lambda now: bool(using(now)),
        ),
        *complains(exclusive, "FailedScheduling", {"second": RWOP}),
        in_the_end(
            exclusive.pods, "the second, ready, when the first is gone",
            lambda now: [(metadata(each)["name"], is_ready(each)) for each in now] == [("second", True)],
            lambda now: str([(metadata(each)["name"], is_ready(each)) for each in now]),
        ),
    )  # fmt: skip
