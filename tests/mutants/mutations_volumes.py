"""Mutants of the volumes' suites: what pods told, and what the watches delivered, is another thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mutants.followed import Events, Step, answered, followed
from tests.mutants.mutations import Mutation

Answer = dict[str, Any]
RECORDING = "volumes-insecure-standard"
_IN_DIRECTORY = "no such file or directory"


def _volumes(outcome: str) -> str:
    return f"volumes/{outcome}"


def _answer(
    drive: str, ending: str, matches: Callable[[Answer], bool], how: Callable[[Answer], Answer]
) -> Step:
    return answered(_volumes(drive), ending, how, lambda seen: isinstance(seen, dict) and matches(seen))


def _asked(drive: str, field: str, value: object, **changed: object) -> Step:
    """What a witness said of a file with this value of a field."""
    return _answer(drive, "", lambda seen: seen.get(field) == value, lambda seen: {**seen, **changed})


def _listed(drive: str, files: list[str], now: list[str]) -> Step:
    """The directory in which a witness saw just these files, but for the kubelet's own, has others, too."""

    def plain(seen: Answer) -> list[str]:
        return sorted(each for each in seen.get("files", []) if "/.." not in each)

    return _answer(drive, "/proxy/files", lambda seen: plain(seen) == files, lambda _: {"files": now})


def _refused(drive: str, ending: str, words: str, instead: Answer) -> Step:
    """What was refused with these words was not."""
    return _answer(drive, ending, lambda seen: words in str(seen.get("error")), lambda _: instead)


def _followed(drive: str, how: Events) -> Step:
    return followed(_volumes(drive), how)


def _changed(drive: str, kind: str, name: str, how: Callable[[Answer], Answer]) -> Step:
    """An object, whose name ends so, is another in all events."""

    def one(change: Answer) -> Answer:
        obj = change["object"]
        ours = f"/{kind}" in change["collection"] and obj["metadata"]["name"].endswith(name)
        return {**change, "object": how(obj)} if ours else change

    return _followed(drive, lambda changes: [one(each) for each in changes])


def _unsaid(drive: str, about: str) -> Step:
    """There was no event about an object."""
    return _followed(
        drive,
        lambda changes: [
            each for each in changes if (each["object"].get("involvedObject") or {}).get("name") != about
        ],
    )


def _with(obj: Answer, part: str, **fields: object) -> Answer:
    return {**obj, part: {**obj.get(part, {}), **fields}}


def _starts(pod: Answer) -> Answer:
    return _with(pod, "status", containerStatuses=[{"name": "main", "state": {"running": {}}}])


def _in_namespace(name: str) -> Callable[[Answer], Answer]:
    """A claim is bound to the volume of this name in its namespace."""
    return lambda obj: _with(
        _with(obj, "status", phase="Bound"), "spec", volumeName=f"{obj['metadata']['namespace']}-{name}"
    )


def _items(how: Callable[[Answer], Answer]) -> Callable[[Answer], Answer]:
    return lambda listed: {**listed, "items": [how(each) for each in listed["items"]]}


def _is_kind(kind: str, name: str = "") -> Callable[[Answer], bool]:
    return lambda seen: seen.get("kind") == kind and seen["metadata"].get("name", "").endswith(name)


def _not_to_end(obj: Answer) -> Answer:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "deletionTimestamp"}
    return {**obj, "metadata": metadata}


def _mutation(name: str, outcome: str, step: Step, *neighbours: str) -> Mutation:
    return Mutation(
        name,
        _volumes(outcome),
        step=step,
        neighbours=frozenset(map(_volumes, neighbours)),
        recording=RECORDING,
    )


def _attached_by(attacher: str) -> Callable[[Answer], Answer]:
    return lambda obj: _with(obj, "spec", attacher=attacher)


BOTH = "from main\nfrom other\n"
LOST = "container-files-lost-on-restart"
SHARED = "empty-dir-shared-in-pod"
SURVIVES = "empty-dir-survives-container-restart"
MEMORY = "empty-dir-memory-is-tmpfs"
TYPES = "host-path-types"
MODES = "config-map-files-and-modes"
UPDATES = "secret-update-propagates"
PROJECTED = "projected"
BINDS = "pvc-binds-matching-pv"
WAITS = "pvc-wait-for-first-consumer"
LOCAL = "local-pv-node-affinity"
PROTECTED = "pvc-in-use-protection"
RECLAIMED = "pv-reclaim-policies"
MISSING = "missing-source-reported"
CLOUDS = "cloud-disks-translated-to-csi"

MUTATIONS = (
    _mutation(
        "a file outlives its container",
        LOST,
        _refused("written", "/writer:8080/proxy/file", "/private", {"content": "outside any volume\n"}),
    ),
    _mutation(
        "the container was never restarted",
        LOST,
        _changed("written", "pods", "writer", lambda pod: _with(pod, "status", containerStatuses=[])),
        SURVIVES,
    ),
    _mutation(
        "the other container sees its own line alone",
        SHARED,
        _answer(
            "written",
            ":8081/proxy/file",
            lambda seen: seen.get("content") == BOTH,
            lambda seen: {**seen, "content": "from other\n"},
        ),
    ),
    _mutation(
        "an emptyDir is empty again",
        SURVIVES,
        _answer(
            "written",
            "/writer:8080/proxy/file",
            lambda seen: seen.get("content") == BOTH,
            lambda seen: {**seen, "content": ""},
        ),
        SHARED,
    ),
    _mutation(
        "an emptyDir outlives its pod",
        "empty-dir-dies-with-pod",
        _refused("removed", "/watcher:8080/proxy/file", _IN_DIRECTORY, {"content": "from main\n"}),
    ),
    _mutation(
        "a tmpfs is as large as the memory",
        MEMORY,
        _asked("written", "volume_bytes", 65536, volume_bytes=1 << 34),
    ),
    _mutation(
        "an emptyDir in memory is on disk", MEMORY, _asked("written", "volume_bytes", 65536, tmpfs=False)
    ),
    _mutation(
        "a tmpfs takes more than its limit", MEMORY, _refused("written", "/append", "no space left", {})
    ),
    _mutation("a wrong type is not told", TYPES, _unsaid("on_disk", "file-at-absent")),
    _mutation(
        "a pod starts with a wrong type", TYPES, _changed("on_disk", "pods", "socket-at-directory", _starts)
    ),
    _mutation("a new directory is open to all", TYPES, _asked("on_disk", "mode", "0755", mode="0777")),
    _mutation("a new file has no content", TYPES, _asked("on_disk", "content", "", content=None)),
    _mutation(
        "a hostPath's file is gone with its pod",
        "host-path-outlives-pod",
        _asked("on_disk", "content", "by the maker\n", content=""),
        TYPES,
    ),
    _mutation(
        "a secret is on the disk",
        "secret-is-tmpfs",
        _asked("filled", "content", "open sesame", tmpfs=False),
    ),
    _mutation(
        "a Secret's file stays as it was",
        UPDATES,
        _asked("filled", "content", "close sesame", content="open sesame"),
    ),
    _mutation(
        "a key's file is missing",
        MODES,
        _listed("filled", ["/config", "/config/colour", "/config/size"], ["/config"]),
    ),
    _mutation("a key's mode is not heeded", MODES, _asked("filled", "mode", "0600", mode="0440")),
    _mutation(
        "a projected label is missing", PROJECTED, _asked("filled", "content", 'kind="reader"', content="")
    ),
    _mutation(
        "a projected token is no token",
        PROJECTED,
        _answer(
            "filled",
            "/proxy/file",
            lambda seen: str(seen.get("content")).startswith("ey"),
            lambda seen: {**seen, "content": "e30.e30.e30"},
        ),
    ),
    _mutation(
        "a write to a read-only mount succeeds",
        "read-only-refuses-writes",
        _refused("filled", "/append", "read-only", {}),
    ),
    _mutation(
        "a subPath shows the whole",
        "sub-path",
        _listed("filled", ["/part", "/part/inside"], ["/part", "/part/outside", "/part/part/inside"]),
    ),
    _mutation(
        "a claim gets too small a volume",
        BINDS,
        _changed("matched", "persistentvolumeclaims", "two", _in_namespace("small")),
    ),
    _mutation(
        "a claim gets a volume of another class",
        BINDS,
        _changed("matched", "persistentvolumeclaims", "one", _in_namespace("other")),
    ),
    _mutation(
        "two claims get one volume",
        BINDS,
        _changed("matched", "persistentvolumeclaims", "one", _in_namespace("big")),
    ),
    _mutation(
        "the late claim gets a volume",
        BINDS,
        _changed("matched", "persistentvolumeclaims", "late", _in_namespace("small")),
    ),
    _mutation(
        "a claim does not wait for its pod",
        WAITS,
        _answer(
            "local",
            "/persistentvolumeclaims",
            _is_kind("PersistentVolumeClaimList"),
            _items(_in_namespace("node2")),
        ),
    ),
    _mutation(
        "a claim without a pod is bound",
        WAITS,
        _changed("local", "persistentvolumeclaims", "idle", _in_namespace("idle")),
    ),
    _mutation("a claim's waiting is not told", WAITS, _unsaid("local", "idle")),
    _mutation(
        "a pod is not where its volume is",
        LOCAL,
        _changed("local", "pods", "user-node2", lambda pod: _with(pod, "spec", nodeName="node1")),
    ),
    _mutation(
        "a pod finds another node's volume", LOCAL, _asked("local", "content", "node2\n", content="node3\n")
    ),
    _mutation(
        "a pod is scheduled where its volume is not",
        LOCAL,
        _changed("local", "pods", "misplaced", lambda pod: _with(pod, "spec", nodeName="node3")),
    ),
    _mutation(
        "a claim goes from under its pod",
        PROTECTED,
        _answer(
            "released",
            "/persistentvolumeclaims",
            _is_kind("PersistentVolumeClaimList"),
            lambda seen: {**seen, "items": seen["items"][:1]},
        ),
    ),
    _mutation(
        "a volume is not to end",
        PROTECTED,
        _answer("released", "-bound", _is_kind("PersistentVolume", "-bound"), _not_to_end),
    ),
    _mutation(
        "the storage stays under Delete",
        RECLAIMED,
        _refused("released", "/proxy/file", _IN_DIRECTORY, {"content": "dropped\n"}),
    ),
    _mutation(
        "a released volume is to be had at once",
        RECLAIMED,
        _answer(
            "released",
            "-kept",
            _is_kind("PersistentVolume", "-kept"),
            lambda seen: _with(seen, "status", phase="Available"),
        ),
    ),
    _mutation(
        "two pods have a ReadWriteOncePod claim",
        "access-modes",
        _changed("exclusive", "pods", "second", lambda pod: _with(pod, "spec", nodeName="node1")),
    ),
    _mutation("a volume that cannot be mounted is not told of", MISSING, _unsaid("unmountable", "iscsi")),
    _mutation("a pod starts without its volume", MISSING, _changed("unmountable", "pods", "nfs", _starts)),
    _mutation(
        "a volume's source is not kept",
        MISSING,
        _answer(
            "unmountable",
            "/pods",
            _is_kind("Pod", "glusterfs"),
            lambda pod: _with(pod, "spec", volumes=[{"name": "glusterfs"}]),
        ),
    ),
    _mutation("a gitRepo volume is mounted", "git-repo", _changed("cloned", "pods", "cloned", _starts)),
    _mutation(
        "a gitRepo volume fails for another reason",
        "git-repo",
        _changed("cloned", "events", "", lambda obj: {**obj, "message": 'volume "clone": no such host'}),
    ),
    _mutation(
        "the driver's absence is not told",
        CLOUDS,
        _changed("in_clouds", "events", "", lambda obj: {**obj, "message": "timed out"}),
    ),
    _mutation(
        "an AWS disk is attached by the plugin in the tree",
        CLOUDS,
        _changed("in_clouds", "volumeattachments", "", _attached_by("kubernetes.io/aws-ebs")),
    ),
)
