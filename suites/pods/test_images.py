"""When a registry is asked for the image of a container. The registry is a pod of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import node_of
from kubewitness.checks.volumes import never_started
from kubewitness.checks.workloads import equal, reached
from kubewitness.clusters.api import pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import is_ready, restarts, waiting_reason
from suites.watching import Watched, all_ready, named

Tell = Callable[..., Story]
#: In the network of its node, so that the node's own loopback reaches it; of loopback no runtime wants TLS.
REGISTRY, PORT = "registry", 15000
ALWAYS, ABSENT, NEVER = "always", "if-not-present", "never"
POLICIES = {ALWAYS: "Always", ABSENT: "IfNotPresent", NEVER: "Never"}
#: The images that the registry must be asked for: while a container of each policy starts for the first time,
#: while it starts again, and while others start with an image that is there by then.
ASKED = {"first": {ALWAYS, ABSENT}, "again": {ALWAYS}, "with what is there": {ALWAYS}}


@drive
def pulled(scene: Scene) -> Watched:
    """Containers that start, start again, and others that start with an image that is there by then."""
    namespace = scene.namespace()
    told: dict[str, Any] = {}

    def run(name: str, node: str, image: str, policy: str) -> None:
        """A pod on a node, with an image of the registry that nobody has pulled before this drive."""
        reference = f"127.0.0.1:{PORT}/{namespace}/{image}:1"
        one = manifests.container(
            reference, imagePullPolicy=POLICIES[policy], args=["serve"], **manifests.ready_probe()
        )
        scene.create(namespace, manifests.pod(name, manifests.pod_spec(one, nodeName=node)))

    def asked() -> list[str]:
        """What the registry has been asked for until now."""
        return list(scene.ask(namespace, f"{REGISTRY}:{PORT}", "asked")["asked"])

    def started_again(state: State) -> bool:
        found = [state[pods(namespace).path].get(each) for each in (ALWAYS, ABSENT)]
        return all(is_ready(each) and restarts(each) == {"main": 1} for each in found)

    def refused(state: State) -> bool:
        return waiting_reason(state[pods(namespace).path].get(NEVER)) == "ErrImageNeverPull"

    with scene.recording(pods(namespace)) as seen:
        registry = manifests.witness("serve", str(PORT), **manifests.ready_probe(port=PORT))
        made = scene.create(
            namespace, manifests.pod(REGISTRY, manifests.pod_spec(registry, hostNetwork=True))
        )
        seen.until(all_ready(namespace, REGISTRY), what="the registry to be ready")
        node = node_of(scene.request("GET", pods(namespace).item(REGISTRY)))
        for name in POLICIES:
            run(name, node, image=name, policy=name)
        seen.until(all_ready(namespace, ALWAYS, ABSENT), what="those with an image to be ready")
        seen.until(refused, what="the one without an image to say so")
        told["first"] = asked()
        for name in (ALWAYS, ABSENT):
            scene.ask(namespace, name, "exit", code="0")
        seen.until(started_again, what="both containers to be started again")
        told["again"] = asked()
        for name, image in ((ALWAYS, ALWAYS), (ABSENT, ABSENT), (NEVER, ABSENT)):
            run(f"{name}-there", node, image=image, policy=name)
        seen.until(
            all_ready(namespace, *(f"{name}-there" for name in POLICIES)),
            what="pods with an image that is there to be ready",
        )
        told["with what is there"] = asked()
    return Watched(namespace, seen, made, told)


@behaviour(
    "pods/image-pull-policy",
    says="The kubelet asks the registry on every start of a container under Always, only for an absent image"
    " under IfNotPresent, and never under Never.",
    kind=Kind.REQUIRED, source=doc("concepts/containers/images"), needs={CONTROLLERS},
)  # fmt: skip
def test_image_pull_policy(pulled: Watched, story: Tell) -> None:
    def asked(before: list[str], until: list[str]) -> set[str]:
        """The images asked for in between: a pull begins with a question about a tag."""
        tags = [each for each in until[len(before) :] if each.endswith("/manifests/1")]
        return {each.split("/")[1] for each in tags}

    requests = [[], *pulled.told.values()]
    found = {when: asked(*each) for when, each in zip(pulled.told, pairwise(requests), strict=True)}
    told = story(pulled.seen.watched, pulled.subject)
    told.must(
        equal("images that the registry was asked for", ASKED, found),
        reached(
            pulled.pods, "a pod whose image is never pulled to say so",
            lambda now: waiting_reason(named(now, NEVER)) == "ErrImageNeverPull",
            lambda now: waiting_reason(named(now, NEVER)),
        ),
        never_started(pulled.pods, [NEVER]),
        reached(
            pulled.pods, "one to be ready with an image that is there",
            lambda now: is_ready(named(now, f"{NEVER}-there")),
            lambda now: str(named(now, f"{NEVER}-there").get("status")),
        ),
    )  # fmt: skip
