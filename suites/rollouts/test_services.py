"""What clients of a Service see of the versions behind it."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.rollouts import answered_by, hostname
from kubewitness.checks.selecting import metadata, uid_of
from kubewitness.checks.workloads import at_every_change, equal, in_the_end
from kubewitness.clusters.api import Object, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, REAL_NODES, SERVICE_PROXY
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.rollouts.deployments import (
    CLIENT,
    FEW,
    NAME,
    SELECTOR,
    Watched,
    client,
    deployments,
    is_serving,
    rolled_out,
    services,
    serving,
    slices,
)
from suites.states import ready_endpoints
from suites.versions import server, to_version, version

Tell = Callable[..., Story]
BY_PROXY = {REAL_NODES, CONTROLLERS, SERVICE_PROXY}
PACE = "50ms"
ONE, TWO = "one", "two"
#: A server goes on for longer than the endpoints' way takes to all proxies.
LINGER_S = 5


def was_answered(answer: Object) -> bool:
    return answer.get("status") == 200


@drive
def polled(scene: Scene) -> Watched:
    """A client that polls a Service, before, during and after a rolling update of the servers."""
    namespace = scene.namespace()
    strategy = manifests.rolling(maxUnavailable=0, maxSurge=1)
    with scene.recording(pods(namespace), deployments(namespace)) as seen:
        service = scene.create(namespace, manifests.service(NAME, SELECTOR))
        scene.create(namespace, client())
        scene.create(namespace, manifests.deployment(NAME, FEW, server("1", LINGER_S), strategy=strategy))
        seen.until(rolled_out(namespace, "1", FEW), what="version 1")
        seen.until(is_serving(namespace, CLIENT), what="the client to be ready")
        address = service["spec"]["clusterIP"]
        url = f"http://{address}/hostname"
        scene.ask_until(namespace, CLIENT, "get", was_answered, what="an answer of the Service", url=url)
        scene.ask(namespace, CLIENT, "poll", url=f"http://{address}:81/hostname", every=PACE)
        closed = scene.ask(namespace, CLIENT, "polled")
        scene.ask(namespace, CLIENT, "poll", url=url, every=PACE)
        scene.patch(deployments(namespace).item(NAME), to_version("2"))
        seen.until(rolled_out(namespace, "2", FEW), what="version 2, and the last of version 1 to end")
        open_ = scene.ask(namespace, CLIENT, "polled")
    return Watched(namespace, seen, {"closed": closed, "open": open_})


@behaviour(
    "rollouts/service-uninterrupted",
    says=f"A client that sends a Service a request every {PACE.replace('ms', ' ms')}, each by a connection of"
    " its own, loses none of them across a rolling update of pods that have a readiness probe and stop"
    " gracefully.",
    kind=Kind.OBSERVED, source=doc("tutorials/services/pods-and-endpoint-termination-flow"), needs=BY_PROXY,
)  # fmt: skip
def test_service_uninterrupted(polled: Watched, story: Tell) -> None:
    closed, opened = polled.found["closed"], polled.found["open"]
    told = story(polled.seen.watched, polled.subject)
    told.must(
        # The client does tell of requests that are lost: of those to a port that the Service has not.
        equal("answers of a port that is closed", {}, closed["answers"]),
        equal("requests to it that were lost, of all", closed["sent"], len(closed["failures"])),
        equal("requests that were lost during the update", [], opened["failures"]),
        equal("answers to all requests", opened["sent"], sum(opened["answers"].values())),
        answered_by(polled.pods, {"1", "2"}, version, map(hostname, opened["answers"])),
    )


@drive
def side_by_side(scene: Scene) -> Watched:
    """A Service that selects one version's pods, and then, unchanged, those of a second version, too."""
    namespace = scene.namespace()

    def version_of_its_own(name: str, replicas: int) -> manifests.Manifest:
        return manifests.deployment(name, replicas, server(name, 0), labels={**SELECTOR, "version": name})

    followed = slices(scene, namespace)
    with scene.recording(pods(namespace), services(namespace), followed) as seen:
        service = scene.create(namespace, manifests.service(NAME, SELECTOR))
        scene.create(namespace, client())
        scene.create(namespace, version_of_its_own(ONE, FEW))
        seen.until(serving(followed, namespace, one=2), what="the first version to serve")
        scene.create(namespace, version_of_its_own(TWO, 1))
        seen.until(serving(followed, namespace, one=2, two=1), what="the second version to serve, too")
        seen.until(is_serving(namespace, CLIENT), what="the client to be ready")
        url = f"http://{service['spec']['clusterIP']}/hostname"

        def answer_of(name: str) -> str:
            answer = scene.ask_until(
                namespace, CLIENT, "get",
                lambda given: was_answered(given) and hostname(given["body"]).startswith(f"{name}-"),
                what=f"an answer of version {name}", url=url,
            )  # fmt: skip
            return hostname(answer["body"])

        answers = [answer_of(ONE), answer_of(TWO)]
    return Watched(namespace, seen, {"service": service, "answers": answers}, followed.path)


@behaviour(
    "rollouts/versions-side-by-side-by-label",
    says="One unchanged Service sends requests to two versions that share the labels it selects.",
    kind=Kind.REQUIRED, source=doc("concepts/workloads/management"), needs=BY_PROXY,
)  # fmt: skip
def test_versions_side_by_side_by_label(side_by_side: Watched, story: Tell) -> None:
    service, answers = side_by_side.found["service"], side_by_side.found["answers"]
    unchanged = [(uid_of(service), metadata(service)["resourceVersion"])]
    told = story(side_by_side.seen.watched, side_by_side.subject)
    told.must(
        at_every_change(
            side_by_side.services, "the Service as it was created",
            lambda now: [(uid_of(each), metadata(each)["resourceVersion"]) for each in now] == unchanged,
            lambda now: str([metadata(each) for each in now]),
        ),
        in_the_end(
            side_by_side.slices, "endpoints of two pods of the first version and one of the second",
            lambda now: [each.split("-")[0] for each in ready_endpoints(now)] == [ONE, ONE, TWO],
            lambda now: str(ready_endpoints(now)),
        ),
        answered_by(side_by_side.pods, {ONE, TWO}, version, answers),
    )  # fmt: skip
