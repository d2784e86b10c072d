"""Deployments and what belongs to them: what is followed, awaited and judged of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fixtures.stage import Recording, Scene
from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import Objects
from kubewitness.clusters.api import Resource, pods
from kubewitness.clusters.following import State
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.observation import ApiObject
from kubewitness.model.versions import has_endpoint_slices
from suites import manifests
from suites.states import app, is_ready, phase, ready, ready_endpoints, staying
from suites.versions import version

NAME = "web"
SELECTOR = {"app": NAME}
REPLICAS = 3
FEW = 2  # replicas where three would show nothing more
CLIENT = "client"


@dataclass(frozen=True)
class Watched:
    """A namespace with an application, what its watches delivered, and what else the drive found out."""

    namespace: str
    seen: Recording
    found: Any = None
    slices: str = ""  # the collection of EndpointSlices, if it was followed

    @property
    def pods(self) -> str:
        return pods(self.namespace).path

    @property
    def deployments(self) -> str:
        return deployments(self.namespace).path

    @property
    def replica_sets(self) -> str:
        return replica_sets(self.namespace).path

    @property
    def services(self) -> str:
        return services(self.namespace).path

    @property
    def subject(self) -> str:
        return f"{self.namespace}/{NAME}"


def deployments(namespace: str) -> Resource:
    return Resource(f"/apis/apps/v1/namespaces/{namespace}/deployments")


def replica_sets(namespace: str) -> Resource:
    return Resource(f"/apis/apps/v1/namespaces/{namespace}/replicasets")


def controllers(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/replicationcontrollers")


def services(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/services")


def slices(scene: Scene, namespace: str) -> Resource:
    """EndpointSlices, in the version of their API that the cluster has."""
    version = "v1" if has_endpoint_slices(parse_minor(scene.stage.spec.version)) else "v1beta1"
    return Resource(f"/apis/discovery.k8s.io/{version}/namespaces/{namespace}/endpointslices")


def has_observed(deployment: ApiObject) -> bool:
    """Its controller has seen it as it is now."""
    seen = (deployment.get("status") or {}).get("observedGeneration")
    return bool(deployment) and seen == metadata(deployment)["generation"]


def ready_by_version(now: Objects) -> dict[str, int]:
    """How many pods of each version are ready."""
    return dict(Counter(map(version, ready(now))))


def pods_are(namespace: str, holds: Callable[[Objects], bool]) -> Callable[[State], bool]:
    """A condition on the application's pods; a client's is none of them."""
    return lambda state: holds([each for each in state[pods(namespace).path].values() if app(each) == NAME])


def all_ready(count: int, value: str) -> Callable[[Objects], bool]:
    """There are just ``count`` pods, all ready and of one version."""
    return lambda now: len(now) == count and ready_by_version(now) == {value: count}


def rolled_out(namespace: str, value: str, count: int) -> Callable[[State], bool]:
    """The Deployment has just ``count`` pods, all ready and of one version, and its controller knows."""
    pods_settled = pods_are(namespace, all_ready(count, value))

    def holds(state: State) -> bool:
        owner = state[deployments(namespace).path].get(NAME, {})
        status = owner.get("status", {})
        wanted = (count, count, count)
        told = tuple(status.get(each) for each in ("replicas", "updatedReplicas", "availableReplicas"))
        return pods_settled(state) and has_observed(owner) and told == wanted

    return holds


def serving(slices: Resource, namespace: str, **counts: int) -> Callable[[State], bool]:
    """So many ready pods of each version (``one=3``), no others, and each an endpoint of the Service."""

    def holds(now: Objects, endpoints: list[str]) -> bool:
        names = sorted(metadata(each)["name"] for each in ready(now))
        return len(staying(now)) == len(names) and ready_by_version(now) == counts and endpoints == names

    return lambda state: pods_are(
        namespace, lambda now: holds(now, ready_endpoints(state[slices.path].values()))
    )(state)


def is_serving(namespace: str, name: str) -> Callable[[State], bool]:
    return lambda state: is_ready(state[pods(namespace).path].get(name))


def client() -> manifests.Manifest:
    """A pod that asks others."""
    return manifests.pod(CLIENT, manifests.pod_spec(manifests.witness(**manifests.ready_probe())))


def tell(now: Objects) -> str:
    """The pods by name, version and state."""
    words = {True: "ready", False: "not ready"}
    return str([
        (metadata(each)["name"], version(each), phase(each), words[is_ready(each)],
         *(["to end"] if "deletionTimestamp" in metadata(each) else []))
        for each in now
    ])  # fmt: skip
