"""How the containers of a deleted pod end."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import Objects, at_every_change, in_the_end, reached
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import container, restarts, termination
from suites.watching import Watched, all_ready, gone, named

Tell = Callable[..., Story]
NAME = "deleted"
GRACE_S = 30  # a busy host takes its time to run a hook
#: What a container writes here before it ends, a kubelet puts into its status.
LOG = "/dev/termination-log"
KILLED = 128 + 9
#: How each container must have ended, and what it must have written until then.
ENDS = {
    "obedient": (0, "before the end\nterminated\nended\n"),
    "deaf": (KILLED, "before the end\nterminated\n"),
}


def ends(name: str, port: int, linger: str) -> manifests.Manifest:
    """A container that writes down when its hook runs, when it is told to end, and when it ends."""
    hook = {"exec": {"command": ["/witness", "append", LOG, "before the end"]}}
    environment = {"WITNESS_FAREWELL": LOG, "WITNESS_LINGER": linger}
    return manifests.witness(
        "serve", str(port), name=name, lifecycle={"preStop": hook}, **manifests.ready_probe(port=port),
        env=[{"name": key, "value": value} for key, value in environment.items()],
    )  # fmt: skip


@drive
def deleted(scene: Scene) -> Watched:
    """A pod of a container that ends soon after it is told to, and one that goes on for an hour."""
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as seen:
        spec = manifests.pod_spec(
            ends("obedient", 8080, "1s"), ends("deaf", 8081, "1h"), terminationGracePeriodSeconds=GRACE_S
        )
        made = scene.create(namespace, manifests.pod(NAME, spec))
        seen.until(all_ready(namespace, NAME), what="the pod to be ready")
        scene.delete(pods(namespace).item(NAME))
        seen.until(gone(pods(namespace).path, NAME), what="the pod to be gone")
    return Watched(namespace, seen, made)


def ended(pod: ApiObject) -> dict[str, tuple[object, object]]:
    """The status and the last words of each container that has ended."""
    found = {name: termination(container(pod, name)) for name in ENDS}
    return {name: (each["exitCode"], each.get("message", "")) for name, each in found.items() if each}


def waited(pod: ApiObject) -> bool:
    """The deaf container was not killed before the time at which the API says that grace ends."""
    finished = str(termination(container(pod, "deaf")).get("finishedAt", ""))
    return finished >= str(metadata(pod)["deletionTimestamp"])


@behaviour(
    "pods/graceful-termination",
    says="The containers of a deleted pod get their preStop hook, then the termination signal, and are killed"
    " only if they have not ended by themselves within the grace period.",
    # Before, a kubelet may forget how they ended, and call them yet to be created, most of all on a busy node
    # (kubernetes/kubernetes#70644, mended by #102344).
    kind=Kind.REQUIRED, source=doc("concepts/workloads/pods/pod-lifecycle"), since="1.22",
    needs={CONTROLLERS},
)  # fmt: skip
def test_graceful_termination(deleted: Watched, story: Tell) -> None:
    def tell(now: Objects) -> str:
        return str([(metadata(each).get("deletionTimestamp"), each.get("status")) for each in now])

    told = story(deleted.seen.watched, deleted.subject)
    told.must(
        reached(
            deleted.pods, f"containers that ended with {ENDS}, the killed one when the grace period was over",
            lambda now: ended(named(now, NAME)) == ENDS
            and metadata(named(now, NAME)).get("deletionGracePeriodSeconds") == GRACE_S
            and waited(named(now, NAME)), tell,
        ),
        at_every_change(
            deleted.pods, "no container started again",
            lambda now: not any(restarts(named(now, NAME)).values()), tell,
        ),
        in_the_end(deleted.pods, "no pod any more", lambda now: not now, tell),
    )  # fmt: skip
