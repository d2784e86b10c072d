"""The pods that are told about themselves, started once for all behaviours that only look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fixtures.drives import drive
from fixtures.stage import Recording, Scene
from kubewitness.checks.selecting import node_of, uid_of
from kubewitness.clusters.api import Object, nodes, pods
from kubewitness.clusters.following import State
from kubewitness.model.observation import ApiObject
from suites import manifests
from suites.downward.fields import (
    ANNOTATION,
    LABEL,
    NOTE,
    RESOURCES,
    TIER,
    field_ref,
    from_amounts,
    from_fields,
    mount,
    resource_ref,
    variable,
    volume,
)
from suites.states import is_ready

NAME, HOSTED, ACCOUNT = "informed", "hosted", "reader"
HOST_PORT = 18080  # in the node's own network, where 8080 may be taken
INFO, PLAIN = "/etc/info", "/etc/plain"
FOLLOWED_S = 120.0  # a kubelet looks at each pod once a minute at the latest


class Marks(NamedTuple):
    """The labels and annotations of a pod."""

    labels: dict[str, str]
    annotations: dict[str, str]


BEFORE = Marks({LABEL: "front", "app": NAME}, {ANNOTATION: 'two lines\nand "quotes"'})
AFTER = Marks({LABEL: "back", "app": NAME}, {ANNOTATION: "changed"})

#: The items of a volume: the file, where its content comes from, and its own mode if it has one.
ITEMS: dict[str, tuple[manifests.Manifest, int | None]] = {
    "labels": (field_ref("metadata.labels"), None),
    "annotations": (field_ref("metadata.annotations"), None),
    "tier": (field_ref(TIER), 0o400),
    "note": (field_ref(NOTE), 0o604),
    "who/name": (field_ref("metadata.name"), None),
    "who/namespace": (field_ref("metadata.namespace"), 0o444),
    "who/uid": (field_ref("metadata.uid"), None),
    "cpu": (resource_ref("limits.cpu", "1m", "main"), None),
}
DEFAULT_MODE = 0o440
#: What has no mode of its own in a volume that gives none.
MODE_OF_NONE = 0o644

Files = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Informed:
    """A pod that is told all about itself: what it saw before and after its label and annotation changed."""

    namespace: str
    seen: Recording
    created: ApiObject
    pod: ApiObject
    node: ApiObject
    environment: dict[str, str]
    addresses: list[str]
    hostname: str
    listed: dict[str, list[str]]  # the names below each directory
    files: Files
    containers: list[tuple[str, int]]  # their ids, and how often they were started again
    changed_containers: list[tuple[str, int]]
    changed_pod: ApiObject
    changed_files: Files
    changed_environment: dict[str, str]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{NAME}"

    @property
    def uid(self) -> str:
        return uid_of(self.pod)


def containers(pod: ApiObject) -> list[tuple[str, int]]:
    """Each container's id, and how often it has been started again."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return [(each["containerID"], each["restartCount"]) for each in statuses]


def holding(content: str) -> Callable[[Object], bool]:
    return lambda answer: answer.get("content") == content


def _items() -> list[manifests.Manifest]:
    return [
        {"path": path, **source, **({} if mode is None else {"mode": mode})}
        for path, (source, mode) in ITEMS.items()
    ]


def _pod() -> manifests.Manifest:
    main = manifests.witness(
        env=[*from_fields(), *from_amounts()],
        resources=RESOURCES,
        volumeMounts=[mount("info", INFO), mount("plain", PLAIN)],
        **manifests.ready_probe(),
    )
    plain = {"path": "namespace", **field_ref("metadata.namespace")}
    volumes = [volume("info", *_items(), defaultMode=DEFAULT_MODE), volume("plain", plain)]
    spec = manifests.pod_spec(main, serviceAccountName=ACCOUNT, volumes=volumes)
    return manifests.pod(NAME, spec, **BEFORE._asdict())


@drive
def informed(scene: Scene) -> Informed:
    """A pod with all fields in its environment and its files; then its label and annotation are changed."""
    namespace = scene.namespace()
    path = pods(namespace).path

    def ready(state: State) -> bool:
        return is_ready(state[path].get(NAME))

    def ask(what: str, **query: str) -> dict[str, Any]:
        return scene.ask(namespace, NAME, what, **query)

    scene.service_account(namespace, ACCOUNT)
    with scene.recording(pods(namespace)) as seen:
        created = scene.create(namespace, _pod())
        seen.until(ready, what="the pod to be ready")
        environment = ask("env")
        addresses, hostname = ask("addresses")["addresses"], ask("hostname")["hostname"]
        # `who` is a link to a directory: only with the slash it is followed.
        listed = {each: ask("files", path=each)["files"] for each in (INFO, f"{INFO}/who/", PLAIN)}
        paths = [*(f"{INFO}/{each}" for each in ITEMS), f"{PLAIN}/namespace"]
        files = {each: ask("file", path=each) for each in paths}
        pod = scene.request("GET", pods(namespace).item(NAME))
        node = scene.request("GET", nodes().item(node_of(pod)))

        changed_pod = scene.patch(pods(namespace).item(NAME), {"metadata": AFTER._asdict()})
        scene.ask_until(
            namespace, NAME, "file", holding(AFTER.labels[LABEL]),
            what="the new label in its file", within_s=FOLLOWED_S, path=f"{INFO}/tier",
        )  # fmt: skip
        scene.ask_until(
            namespace, NAME, "file", holding(AFTER.annotations[ANNOTATION]),
            what="the new annotation in its file", within_s=FOLLOWED_S, path=f"{INFO}/note",
        )  # fmt: skip
        changed_files = {each: ask("file", path=each) for each in paths}
        changed_environment = ask("env")
        running_on = scene.request("GET", pods(namespace).item(NAME))
    return Informed(
        namespace, seen, created, pod, node, environment, addresses, hostname, listed, files,
        containers(pod), containers(running_on), changed_pod, changed_files, changed_environment,
    )  # fmt: skip


@dataclass(frozen=True)
class OnHost:
    """A pod in its node's own network, without limits, and that node."""

    namespace: str
    seen: Recording
    pod: ApiObject
    node: ApiObject
    environment: dict[str, str]
    addresses: list[str]


@drive
def on_host(scene: Scene) -> OnHost:
    """A pod that sees its node's interfaces, and asks for limits that it does not have."""
    namespace = scene.namespace()
    main = manifests.witness(
        "serve", str(HOST_PORT), env=[*from_fields(), *from_amounts()],
        **manifests.ready_probe(port=HOST_PORT),
    )  # fmt: skip
    where = pods(namespace).item(f"{HOSTED}:{HOST_PORT}") + "/proxy"
    with scene.recording(pods(namespace)) as seen:
        scene.create(namespace, manifests.pod(HOSTED, manifests.pod_spec(main, hostNetwork=True)))
        seen.until(
            lambda state: is_ready(state[pods(namespace).path].get(HOSTED)), what="the pod to be ready"
        )
        environment = scene.request("GET", f"{where}/env")
        addresses = scene.request("GET", f"{where}/addresses")["addresses"]
        pod = scene.request("GET", pods(namespace).item(HOSTED))
        node = scene.request("GET", nodes().item(node_of(pod)))
    return OnHost(namespace, seen, pod, node, environment, addresses)


@dataclass(frozen=True)
class Refusals:
    """What the API server said to pods that ask for fields, by the field."""

    namespace: str
    seen: Recording
    refused: dict[str, dict[str, Any]]
    accepted: dict[str, dict[str, Any]]


#: Fields of a pod that an environment variable may not have, and those that a volume may not have.
NOT_IN_ENVIRONMENT = ("status.phase", "spec.restartPolicy", "metadata.generateName", "metadata.labels")
NOT_IN_VOLUMES = ("status.podIP", "spec.nodeName", "spec.serviceAccountName")
NOT_AMOUNTS = ("limits.gpu", "usage.memory")


def _with_variable(source: manifests.Manifest) -> manifests.Manifest:
    spec = manifests.pod_spec(manifests.container(env=[variable("ASKED", source)]))
    return manifests.pod("asking", spec)


def _with_file(source: manifests.Manifest) -> manifests.Manifest:
    main = manifests.container(volumeMounts=[mount("info", INFO)])
    spec = manifests.pod_spec(main, volumes=[volume("info", {"path": "asked", **source})])
    return manifests.pod("asking", spec)


@drive
def refusals(scene: Scene) -> Refusals:
    """Pods that ask for fields that are not offered; and the same pods with one that is, never stored."""
    namespace = scene.namespace()

    def answer(manifest: manifests.Manifest, **query: str) -> dict[str, Any]:
        return scene.refusal("POST", pods(namespace).path, manifest, query=query)

    wrong = (
        {path: _with_variable(field_ref(path)) for path in NOT_IN_ENVIRONMENT}
        | {path: _with_file(field_ref(path)) for path in NOT_IN_VOLUMES}
        | {path: _with_variable(resource_ref(path)) for path in NOT_AMOUNTS}
    )
    right = {
        "status.podIP": _with_variable(field_ref("status.podIP")),
        "metadata.labels": _with_file(field_ref("metadata.labels")),
        "limits.memory": _with_variable(resource_ref("limits.memory")),
    }
    with scene.recording(pods(namespace)) as seen:
        refused = {path: answer(manifest) for path, manifest in wrong.items()}
        accepted = {path: answer(manifest, dryRun="All") for path, manifest in right.items()}
    return Refusals(namespace, seen, refused, accepted)
