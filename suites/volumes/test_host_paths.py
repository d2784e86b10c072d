"""Files and directories of a node in its pods."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import node_of
from kubewitness.checks.workloads import equal, reached
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.states import is_ready
from suites.volumes.mounting import ON_NODE, complains, host_path, idle_pod, mount, never_start, witness_pod
from suites.watching import Watched, all_ready, complained, events, gone, named

Tell = Callable[..., Story]
VOLUMES = doc("concepts/storage/volumes")
MAKER, FINDER = "maker", "finder"
#: What a directory, a file and nothing are refused as.
REFUSED = {
    "directory": ("File", "Socket", "CharDevice", "BlockDevice", "FileOrCreate"),
    "directory/left": ("Directory", "Socket", "CharDevice", "BlockDevice", "DirectoryOrCreate"),
    "absent": ("Directory", "File", "Socket", "CharDevice", "BlockDevice"),
}


def refused_pods(base: str) -> dict[str, tuple[str, str]]:
    """The names of pods with a path of a wrong type, each with its path and type."""
    cases = [(path, kind) for path, kinds in REFUSED.items() for kind in kinds]
    return {f"{kind.lower()}-at-{path.replace('/', '-')}": (f"{base}/{path}", kind) for path, kind in cases}


@drive
def on_disk(scene: Scene) -> Watched:
    """One pod makes a directory and leaves a file there; a second finds both; others ask for wrong types."""
    namespace = scene.namespace()
    base = f"{ON_NODE}/{namespace}"
    left = f"{base}/directory/left"
    wrong = refused_pods(base)
    words = dict.fromkeys(wrong, "hostPath type check failed")
    told = {}
    with scene.recording(pods(namespace), events(namespace)) as seen:
        directory = host_path("directory", f"{base}/directory", "DirectoryOrCreate")
        made = scene.create(namespace, witness_pod(MAKER, [mount("directory", "/directory")], [directory]))
        seen.until(all_ready(namespace, MAKER), what="the maker to be ready")
        node = node_of(scene.request("GET", pods(namespace).item(MAKER)))
        told["made directory"] = scene.ask(namespace, MAKER, "file", path="/directory")
        scene.ask(namespace, MAKER, "append", path="/directory/left", text="by the maker")
        scene.delete(pods(namespace).item(MAKER))
        seen.until(gone(pods(namespace).path, MAKER), what="the maker to be gone")

        found = [
            host_path("made", f"{base}/file", "FileOrCreate"),
            host_path("again", left, "FileOrCreate"),
            host_path("existing", left, "File"),
            host_path("directory", f"{base}/directory", "Directory"),
            host_path("same", f"{base}/directory", "DirectoryOrCreate"),
            host_path("device", "/dev/null", "CharDevice"),
            host_path("socket", "/var/lib/kubelet/device-plugins/kubelet.sock", "Socket"),
            host_path("unchecked", base),
        ]
        mounts = [mount(each["name"], f"/found/{each['name']}") for each in found]
        scene.create(namespace, witness_pod(FINDER, mounts, found, nodeName=node))
        for name, (path, kind) in wrong.items():
            scene.create(namespace, idle_pod(name, host_path("wrong", path, kind), nodeName=node))
        seen.until(all_ready(namespace, FINDER), what="the finder to be ready")
        for each in found:
            told[each["name"]] = scene.ask(namespace, FINDER, "file", path=f"/found/{each['name']}")
        told["left"] = scene.ask(namespace, FINDER, "file", path="/found/directory/left")
        seen.until(complained(namespace, "FailedMount", words), what="every wrong type to be refused")
        for name in wrong:
            scene.delete(pods(namespace).item(name))
        seen.until(gone(pods(namespace).path, *wrong), what="the refused pods to be gone")
        for name in ("directory/left", "file", "directory"):
            scene.ask(namespace, FINDER, "remove", path=f"/found/unchecked/{name}")
    return Watched(namespace, seen, made, told)


def shape(told: dict[str, object]) -> tuple[object, ...]:
    return told.get("directory"), told.get("mode"), told.get("content"), told.get("uid"), told.get("gid")


@behaviour(
    "volumes/host-path-types",
    says="A hostPath volume's type is checked before the pod starts: what must exist must exist, and the"
    " OrCreate types make it.",
    kind=Kind.REQUIRED, needs={DISRUPTION, CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_host_path_types(on_disk: Watched, story: Tell) -> None:
    wrong = refused_pods("")
    told = story(on_disk.seen.watched, on_disk.subject)
    told.must(
        equal("a new directory", (True, "0755", None, 0, 0), shape(on_disk.told["made directory"])),
        equal("a new file, empty", (False, "0644", "", 0, 0), shape(on_disk.told["made"])),
        equal(
            "a file that there was, by two types", 2 * ["by the maker\n"],
            [on_disk.told[each].get("content") for each in ("existing", "again")],
        ),
        equal(
            "directories, and a device and a socket that are none",
            {"directory": True, "same": True, "unchecked": True, "device": False, "socket": False},
            {
                each: on_disk.told[each].get("directory")
                for each in ("directory", "same", "unchecked", "device", "socket")
            },
        ),
        never_start(on_disk, wrong),
        *complains(on_disk, "FailedMount", dict.fromkeys(wrong, "hostPath type check failed")),
    )  # fmt: skip


@behaviour(
    "volumes/host-path-outlives-pod",
    says="Files written to a hostPath volume stay on the node when the pod is deleted.",
    kind=Kind.REQUIRED, needs={DISRUPTION, CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_host_path_outlives_pod(on_disk: Watched, story: Tell) -> None:
    told = story(on_disk.seen.watched, on_disk.subject)
    told.must(
        reached(
            on_disk.pods, "the finder to be ready without the maker",
            lambda now: is_ready(named(now, FINDER)) and not named(now, MAKER),
            lambda now: str([each["metadata"]["name"] for each in now]),
        ),
        equal("the file that the maker left", "by the maker\n", on_disk.told["left"].get("content")),
    )  # fmt: skip
