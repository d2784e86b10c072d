"""What containers write, into an emptyDir and beside it, and how long it lasts."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import node_of, uid_of
from kubewitness.checks.workloads import Check, contains, equal, in_the_end, reached
from kubewitness.clusters.api import pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import is_ready, restarts
from suites.volumes.mounting import host_path, mount, volume, witness_pod
from suites.watching import Watched, all_ready, gone, named

Tell = Callable[..., Story]
VOLUMES = doc("concepts/storage/volumes")
NAME, WATCHER = "writer", "watcher"
LIMIT = 64 * 1024
OTHER_PORT = 8081
#: Two of these are more than the limit.
LARGE = "x" * (LIMIT * 5 // 8)


def writer() -> manifests.Manifest:
    """Two containers that share an emptyDir; the first has one in memory, too."""
    probe = manifests.ready_probe()["readinessProbe"]
    return manifests.pod(
        NAME,
        manifests.pod_spec(
            manifests.witness(
                volumeMounts=[mount("shared", "/shared"), mount("memory", "/memory")],
                **manifests.ready_probe(),
            ),
            manifests.witness(
                "serve",
                str(OTHER_PORT),
                name="other",
                volumeMounts=[mount("shared", "/other")],
                readinessProbe={**probe, "httpGet": {"path": "/ready", "port": OTHER_PORT}},
            ),
            volumes=[
                volume("shared", emptyDir={}),
                volume("memory", emptyDir={"medium": "Memory", "sizeLimit": str(LIMIT)}),
            ],
        ),
    )


def restarted(namespace: str) -> Callable[[State], bool]:
    def holds(state: State) -> bool:
        pod = state[pods(namespace).path].get(NAME, {})
        return restarts(pod).get("main", 0) >= 1 and is_ready(pod)

    return holds


@drive
def written(scene: Scene) -> Watched:
    """Files in two containers, of which one crashes."""
    namespace = scene.namespace()

    def ask(what: str, /, **query: str) -> ApiObject:
        return scene.ask(namespace, NAME, what, **query)

    def ask_other(what: str, /, **query: str) -> ApiObject:
        return scene.ask(namespace, f"{NAME}:{OTHER_PORT}", what, **query)

    told: dict[str, ApiObject] = {}
    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, writer())
        seen.until(all_ready(namespace, NAME), what="the writer to be ready")
        ask("append", path="/private", text="outside any volume")
        ask("append", path="/shared/words", text="from main")
        ask_other("append", path="/other/words", text="from other")
        told["shared in main"] = ask("file", path="/shared/words")
        told["shared in other"] = ask_other("file", path="/other/words")
        told["outside before"] = ask("file", path="/private")
        told["memory"] = ask("file", path="/memory")
        told["first write"] = ask("append", path="/memory/fill", text=LARGE)
        told["second write"] = ask("append", path="/memory/fill", text=LARGE)
        told["not shared"] = ask_other("file", path="/memory/fill")
        ask("exit", code="3")
        seen.until(restarted(namespace), what="main to be restarted")
        told["outside after"] = ask("file", path="/private")
        told["shared after"] = ask("file", path="/shared/words")
    return Watched(namespace, seen, made, told)


@drive
def removed(scene: Scene) -> Watched:
    """A file in a pod that is deleted before the eyes of a watcher on the same node."""
    namespace = scene.namespace()
    told: dict[str, ApiObject] = {}
    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, writer())
        seen.until(all_ready(namespace, NAME), what="the writer to be ready")
        scene.ask(namespace, NAME, "append", path="/shared/words", text="from main")
        bound = scene.request("GET", pods(namespace).item(NAME))
        directory = f"/var/lib/kubelet/pods/{uid_of(bound)}/volumes/kubernetes.io~empty-dir/shared"
        scene.create(
            namespace,
            witness_pod(
                WATCHER, [mount("seen", "/seen", readOnly=True)], [host_path("seen", directory, "Directory")],
                nodeName=node_of(bound),
            ),
        )  # fmt: skip
        seen.until(all_ready(namespace, WATCHER), what="the watcher to be ready")
        told["on the node before"] = scene.ask(namespace, WATCHER, "file", path="/seen/words")
        scene.delete(pods(namespace).item(NAME))
        # A kubelet lets a pod's object go only after its volumes are torn down, so this event is enough.
        seen.until(gone(pods(namespace).path, NAME), what="the writer to be gone")
        told["on the node after"] = scene.ask(namespace, WATCHER, "file", path="/seen/words")
    return Watched(namespace, seen, made, told)


BOTH = "from main\nfrom other\n"
NO_FILE = "no such file or directory"


@behaviour(
    "volumes/container-files-lost-on-restart",
    says="Files that a container wrote outside any volume are gone after the container restarts.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_container_files_lost_on_restart(written: Watched, story: Tell) -> None:
    told = story(written.seen.watched, written.subject)
    told.must(
        equal("the file before", "outside any volume\n", written.told["outside before"].get("content")),
        contains("an error for the file after", NO_FILE, str(written.told["outside after"].get("error"))),
        main_restarted(written),
    )


def main_restarted(written: Watched) -> Check:
    return reached(
        written.pods, "one restart of main and none of other",
        lambda now: restarts(named(now, NAME)) == {"main": 1, "other": 0},
        lambda now: str(restarts(named(now, NAME))),
    )  # fmt: skip


@behaviour(
    "volumes/empty-dir-shared-in-pod",
    says="The containers of a pod read and write the same files in a shared emptyDir.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_empty_dir_shared_in_pod(written: Watched, story: Tell) -> None:
    told = story(written.seen.watched, written.subject)
    told.must(
        equal("what main reads", BOTH, written.told["shared in main"].get("content")),
        equal("what other reads", BOTH, written.told["shared in other"].get("content")),
        contains("an error for what is not shared", NO_FILE, str(written.told["not shared"].get("error"))),
    )


@behaviour(
    "volumes/empty-dir-survives-container-restart",
    says="The files of an emptyDir survive the crash and restart of a container.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_empty_dir_survives_container_restart(written: Watched, story: Tell) -> None:
    told = story(written.seen.watched, written.subject)
    told.must(
        equal("what main reads after its restart", BOTH, written.told["shared after"].get("content")),
        main_restarted(written),
    )


@behaviour(
    "volumes/empty-dir-dies-with-pod",
    says="The files of an emptyDir are removed from the node with the pod.",
    kind=Kind.REQUIRED, needs={DISRUPTION, CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_empty_dir_dies_with_pod(removed: Watched, story: Tell) -> None:
    told = story(removed.seen.watched, removed.subject)
    told.must(
        equal("the file on the node", "from main\n", removed.told["on the node before"].get("content")),
        in_the_end(
            removed.pods, "the watcher alone", lambda now: not named(now, NAME), lambda _: "the writer, too"
        ),
        contains(
            "an error for the file, once the pod is gone", NO_FILE,
            str(removed.told["on the node after"].get("error")),
        ),
    )  # fmt: skip


@behaviour(
    "volumes/empty-dir-memory-is-tmpfs",
    says="An emptyDir of medium Memory is a tmpfs no larger than its size limit.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES, since="1.22",
)  # fmt: skip
def test_empty_dir_memory_is_tmpfs(written: Watched, story: Tell) -> None:
    memory = written.told["memory"]
    told = story(written.seen.watched, written.subject)
    told.must(
        equal("a tmpfs of its size limit", (True, LIMIT), (memory.get("tmpfs"), memory.get("volume_bytes"))),
        equal("a write within the limit", {}, written.told["first write"]),
        contains(
            "an error for a write beyond it", "no space left on device",
            str(written.told["second write"].get("error")),
        ),
    )  # fmt: skip
