"""What the containers of a pod have in common: a node, an address, and its ports."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.addresses import family, own
from kubewitness.checks.selecting import metadata, node_of
from kubewitness.checks.workloads import Objects, at_every_change, contains, equal, reached
from kubewitness.clusters.api import nodes, pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS, TWO_NODES
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.states import addresses, is_running, nodes_of
from suites.watching import Watched, all_ready

Tell = Callable[..., Story]
PODS = doc("concepts/workloads/pods")
#: The containers of a pod, and the port of each.
PORTS = {"main": 8080, "other": 8081}
FREE_PORT = "8082"


def server(name: str, port: int, **fields: Any) -> manifests.Manifest:
    """A container that serves on a port, ready when it does, and that knows its own name."""
    me = [{"name": "CONTAINER", "value": name}]
    return manifests.witness(
        "serve", str(port), name=name, env=me, **manifests.ready_probe(port=port), **fields
    )


def address_of(node: ApiObject) -> str:
    return next(str(each["address"]) for each in node["status"]["addresses"] if each["type"] == "InternalIP")


@drive
def shared(scene: Scene) -> Watched:
    """Two pods, of two containers each, on one node: each container tells its addresses and tries ports."""
    namespace = scene.namespace()
    containers = [server(name, port) for name, port in PORTS.items()]
    told: dict[str, Any] = {}

    def ask(pod: str, container: str, what: str, /, **query: str) -> ApiObject:
        return scene.ask(namespace, f"{pod}:{PORTS[container]}", what, **query)

    with scene.recording(pods(namespace)) as seen:
        made = scene.create(namespace, manifests.pod("first", manifests.pod_spec(*containers)))
        seen.until(all_ready(namespace, "first"), what="the first to be ready")
        node = node_of(scene.request("GET", pods(namespace).item("first")))
        scene.create(namespace, manifests.pod("second", manifests.pod_spec(*containers, nodeName=node)))
        seen.until(all_ready(namespace, "second"), what="the second to be ready")
        told["node"] = address_of(scene.request("GET", nodes().item(node)))
        told["main reaches"] = ask("first", "main", "get", url="http://localhost:8081/env")
        told["other reaches"] = ask("first", "other", "get", url="http://localhost:8080/env")
        told["main binds"] = ask("first", "main", "bind", port="8081")
        told["other binds"] = ask("first", "other", "bind", port="8080")
        told["main binds another"] = ask("first", "main", "bind", port=FREE_PORT)
        for pod in ("first", "second"):
            told[pod] = {container: ask(pod, container, "addresses")["addresses"] for container in PORTS}
    return Watched(namespace, seen, made, told)


@behaviour(
    "pods/share-network-namespace",
    says="The containers of a pod reach each other on localhost and share one port space, so that a second"
    " bind to a port fails.",
    kind=Kind.REQUIRED, source=PODS, needs={CONTROLLERS},
)  # fmt: skip
def test_share_network_namespace(shared: Watched, story: Tell) -> None:
    def reached_by(container: str) -> object:
        return json.loads(shared.told[f"{container} reaches"].get("body", "{}")).get("CONTAINER")

    told = story(shared.seen.watched, shared.subject)
    told.must(
        equal("whom main reaches on localhost", "other", reached_by("main")),
        equal("whom other reaches on localhost", "main", reached_by("other")),
        contains("a refusal of other's port", "address already in use", str(shared.told["main binds"])),
        contains("a refusal of main's port", "address already in use", str(shared.told["other binds"])),
        equal("the bind to a free port", {}, shared.told["main binds another"]),
        reached(
            shared.pods, "another pod on the same node that has the same ports",
            lambda now: len(now) == 2 and len(set(nodes_of(now))) == 1 and all(map(is_running, now)),
            lambda now: f"pods on {nodes_of(now)}",
        ),
    )  # fmt: skip


@behaviour(
    "pods/one-ip-per-pod",
    says="A pod has one address of its own per address family, which all its containers share.",
    kind=Kind.REQUIRED, source=doc("concepts/services-networking"), needs={CONTROLLERS},
)  # fmt: skip
def test_one_ip_per_pod(shared: Watched, story: Tell) -> None:
    inside = {
        pod: {container: own(found) for container, found in shared.told[pod].items()}
        for pod in ("first", "second")
    }

    def theirs(now: Objects) -> dict[str, dict[str, list[str]]]:
        return {metadata(each)["name"]: {name: sorted(addresses(each)) for name in PORTS} for each in now}

    def all_of(now: Objects) -> list[str]:
        return [address for each in now for address in addresses(each)]

    told = story(shared.seen.watched, shared.subject)
    told.must(
        at_every_change(
            shared.pods, "no address of two pods, or of a pod and its node",
            lambda now: len({*all_of(now), shared.told["node"]}) == len(all_of(now)) + 1,
            lambda now: f"{all_of(now)} beside the node's {shared.told['node']}",
        ),
        at_every_change(
            shared.pods, "at most one address of each family for a pod",
            lambda now: all(len(set(map(family, addresses(each)))) == len(addresses(each)) for each in now),
            lambda now: str([addresses(each) for each in now]),
        ),
        reached(
            shared.pods, f"the addresses that the containers see, {inside}",
            lambda now: theirs(now) == inside and len(all_of(now)) >= 2, lambda now: str(theirs(now)),
        ),
    )  # fmt: skip


#: In the node's own network, where other pods may have other ports.
HOST_PORTS = {"one": 18181, "two": 18182, "three": 18183}


@drive
def on_nodes(scene: Scene) -> Watched:
    """Two pods in their nodes' networks, of three containers each, that want the same ports."""
    namespace = scene.namespace()
    containers = [server(name, port, ports=[{"containerPort": port}]) for name, port in HOST_PORTS.items()]
    told: dict[str, Any] = {}
    with scene.recording(pods(namespace)) as seen:
        spec = manifests.pod_spec(*containers, hostNetwork=True)
        made = scene.create(namespace, manifests.pod("first", spec))
        scene.create(namespace, manifests.pod("second", spec))
        seen.until(all_ready(namespace, "first", "second"), what="both to be ready")
        for pod in ("first", "second"):
            told[pod] = {
                name: scene.ask(namespace, f"{pod}:{port}", "addresses")["addresses"]
                for name, port in HOST_PORTS.items()
            }
        listed = scene.request("GET", nodes().path)["items"]
        told["nodes"] = {address_of(each): metadata(each)["name"] for each in listed}
    return Watched(namespace, seen, made, told)


@behaviour(
    "pods/co-scheduled-on-one-node",
    says="All containers of a pod run on the node that the pod is bound to.",
    kind=Kind.REQUIRED, source=PODS, needs={TWO_NODES, CONTROLLERS},
)  # fmt: skip
def test_co_scheduled_on_one_node(on_nodes: Watched, story: Tell) -> None:
    found = {
        pod: {
            name: [on_nodes.told["nodes"][each] for each in seen if each in on_nodes.told["nodes"]]
            for name, seen in on_nodes.told[pod].items()
        }
        for pod in ("first", "second")
    }

    def bound(now: Objects) -> dict[str, dict[str, list[str]]]:
        return {metadata(each)["name"]: {name: [node_of(each)] for name in HOST_PORTS} for each in now}

    told = story(on_nodes.seen.watched, on_nodes.subject)
    told.must(
        reached(
            on_nodes.pods, f"the nodes on which the containers see themselves, {found}",
            lambda now: bound(now) == found, lambda now: str(bound(now)),
        ),
        equal("nodes that the pods are on", 2, len({str(each) for each in found.values()})),
    )  # fmt: skip
