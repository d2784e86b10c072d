"""Mutants of a recorded run: for each behaviour, evidence that contradicts it in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kubewitness.checks.selecting import metadata, node_of
from kubewitness.load.plan import Outcome
from kubewitness.model.cluster import Setup
from kubewitness.model.history import History
from kubewitness.model.observation import (
    ApiRequest,
    ApiResponse,
    Endpoint,
    EtcdResponse,
    Observation,
    Speaker,
    WatchEvent,
)

Packets = tuple[list[int], list[int]]  # those that hold a marker: barriers, and others
Matches = Callable[[Observation], bool]
MINIMAL, STANDARD = "ordering-insecure-minimal", "ordering-insecure-standard"
#: Of an API server that logs its keys, for the one behaviour that needs them.
ENCRYPTED = "ordering-tls-minimal"
CHAIN = "ordering/whole-chain"
TLS_CHAIN = "ordering/tls-same-chain"
FOLLOWING = "ordering/binding-follows-delivery"
OWNERS = "ordering/owner-chain"
NOT_READY = "ordering/untainted-not-ready-node-is-used"


def _same_history(history: History) -> History:
    return history


def _same_step(_scene: str, _what: str, result: Any) -> Any:
    return result


def _same_packets(found: Packets) -> Packets:
    return found


def _same_outcome(found: Outcome) -> Outcome:
    return found


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of the evidence that breaks ``behaviour`` and, since they rest on the same, ``neighbours``.

    ``recording`` names the evidence, ``setup`` what its cluster is falsely said to be.
    """

    name: str
    behaviour: str
    history: Callable[[History], History] = _same_history
    step: Callable[[str, str, Any], Any] = _same_step
    packets: Callable[[Packets], Packets] = _same_packets
    outcome: Callable[[Outcome], Outcome] = _same_outcome
    neighbours: frozenset[str] = frozenset()
    recording: str = MINIMAL
    setup: Setup | None = None  # as it was, if not given


def _request(method: str, resource: str, name: str, by: str) -> Matches:
    wanted, _, subresource = resource.partition("/")
    return lambda seen: (
        isinstance(seen, ApiRequest)
        and (seen.method, seen.resource, seen.subresource) == (method, wanted, subresource)
        and (seen.name, seen.sender.role) == (name, by)
    )


def _event(kind: str, name: str, to: str) -> Matches:
    return lambda seen: (
        isinstance(seen, WatchEvent)
        and (seen.type, seen.request.resource) == (kind, "pods")
        and (metadata(seen.object).get("name"), seen.receiver.role) == (name, to)
    )


def _creating(seen: Observation) -> bool:
    """A watch event by which the suite learns that solo's container is being created."""
    if not (isinstance(seen, WatchEvent) and seen.receiver.role == "suite"):
        return False
    waiting = str((seen.object.get("status") or {}).get("containerStatuses"))
    return metadata(seen.object).get("name") == "solo" and "ContainerCreating" in waiting


def _created_answer(seen: Observation) -> bool:
    return isinstance(seen, ApiResponse) and _request("POST", "pods", "solo", "kubectl")(seen.request)


def _txn_of_solo(seen: Observation) -> bool:
    return isinstance(seen, EtcdResponse) and any(
        each.op == "put" and each.key.endswith("/solo") and each.value is not None and not node_of(each.value)
        for each in seen.request.operations
    )


POST = _request("POST", "pods", "solo", "kubectl")
BINDING = _request("POST", "pods/binding", "solo", "kube-scheduler")
TO_SCHEDULER = _event("ADDED", "solo", "kube-scheduler")
TO_KUBELET = _event("ADDED", "solo", "kubelet")
PATCH = _request("PATCH", "pods/status", "solo", "kubelet")
LAST_DELETE = _request("DELETE", "pods", "solo", "kubelet")


def _made(resource: str) -> Matches:
    """A controller's POST of such an object."""
    return lambda seen: (
        isinstance(seen, ApiRequest)
        and (seen.method, seen.resource, seen.subresource) == ("POST", resource, "")
        and seen.sender.role == "kube-controller-manager"
    )


def change(matches: Matches, how: Callable[[Any], Observation]) -> Callable[[History], History]:
    """The first such observation, where there is one, is another."""

    def mutate(history: History) -> History:
        found = next(filter(matches, history.observations), None)
        if found is None:
            return history
        return _ordered(history, (how(each) if each is found else each for each in history.observations))

    return mutate


def drop(matches: Matches) -> Callable[[History], History]:
    """No such observation was made."""
    return lambda history: _ordered(history, (each for each in history.observations if not matches(each)))


def move(matches: Matches, reference: Matches, by: int) -> Callable[[History], History]:
    """The first such observation took place ``by`` packets after the first that ``reference`` selects."""

    def mutate(history: History) -> History:
        place = next(filter(reference, history.observations), None)
        if place is None:
            return history
        frame = place.last_frame + by
        return change(matches, lambda seen: replace(seen, first_frame=frame, last_frame=frame))(history)

    return mutate


def add(matches: Matches, how: Callable[[Any], Observation]) -> Callable[[History], History]:
    """Beside the first such observation there was another one like it."""

    def mutate(history: History) -> History:
        found = next(filter(matches, history.observations), None)
        return history if found is None else _ordered(history, (*history.observations, how(found)))

    return mutate


def _ordered(history: History, observations: Any) -> History:
    return replace(history, observations=tuple(sorted(observations, key=lambda each: each.last_frame)))


def _intruder(history: History) -> History:
    """Somebody else opens a connection to etcd and speaks."""
    model = next(each for each in history.connections if each.server.port == 2379)
    other = replace(
        model,
        number=len(history.connections) + 1,
        client=Endpoint("127.0.0.1", 1),
        client_process=Speaker("intruder", 1),
        bytes_to_server=1,
    )
    return replace(history, connections=(*history.connections, other))


def _with_metadata(event: WatchEvent, **fields: str) -> WatchEvent:
    return replace(event, object={**event.object, "metadata": {**event.object["metadata"], **fields}})


def _on_another_node(event: WatchEvent) -> WatchEvent:
    return replace(event, object={**event.object, "spec": {**event.object["spec"], "nodeName": "node9"}})


def _late_watch(event: WatchEvent) -> WatchEvent:
    """The watch that delivered the pod was only opened in the packet before."""
    opened = event.first_frame - 1
    return replace(event, request=replace(event.request, first_frame=opened, last_frame=opened))


def _step(scene: str, what: str, how: Callable[[Any], Any]) -> Callable[[str, str, Any], Any]:
    return lambda in_scene, done, result: how(result) if (in_scene, done) == (scene, what) else result


def _ready(node: dict[str, Any]) -> dict[str, Any]:
    return {**node, "status": {**node["status"], "conditions": [{"type": "Ready", "status": "True"}]}}


MUTATIONS = (
    Mutation(
        "the pod is sent as YAML",
        "ordering/client-posts-pod-as-json",
        change(POST, lambda seen: replace(seen, content_type="application/yaml")),
    ),
    Mutation(
        "the pod is sent twice",
        "ordering/client-posts-pod-as-json",
        add(POST, lambda seen: replace(seen, stream=seen.stream + 1)),
    ),
    Mutation(
        "the 201 comes before etcd's answer",
        "ordering/pod-stored-before-created-response",
        move(_created_answer, POST, by=1),
    ),
    Mutation(
        "etcd never answers the Txn that creates the pod",
        "ordering/pod-stored-before-created-response",
        drop(_txn_of_solo),
        neighbours=frozenset({CHAIN}),
    ),
    Mutation(
        "a client sees the pod before etcd has it",
        "ordering/pod-stored-before-any-watch-event",
        move(_event("ADDED", "solo", "suite"), POST, by=1),
    ),
    Mutation(
        "the scheduler's watch begins after the POST",
        "ordering/scheduler-watches-unbound-pods",
        change(TO_SCHEDULER, _late_watch),
    ),
    Mutation(
        "the binding comes before the delivery",
        FOLLOWING,
        move(TO_SCHEDULER, BINDING, by=1),
        neighbours=frozenset({CHAIN, NOT_READY}),
    ),
    Mutation(
        "somebody else sends the binding",
        FOLLOWING,
        change(BINDING, lambda seen: replace(seen, sender=Speaker("somebody-else", 1))),
        neighbours=frozenset({CHAIN, NOT_READY}),
    ),
    Mutation(
        "the kubelet gets the pod before the binding is stored",
        "ordering/binding-stored-before-kubelet-delivery",
        move(TO_KUBELET, BINDING, by=1),
        neighbours=frozenset({CHAIN}),
    ),
    Mutation(
        "the kubelet reports before it is told",
        "ordering/kubelet-acts-after-delivery",
        move(PATCH, TO_KUBELET, by=0),
        neighbours=frozenset({CHAIN}),
    ),
    Mutation(
        "a kubelet gets another node's pod",
        "ordering/kubelet-sees-only-own-pods",
        change(TO_KUBELET, _on_another_node),
    ),
    Mutation(
        "a kubelet watches all pods",
        "ordering/kubelet-sees-only-own-pods",
        change(
            lambda seen: (
                isinstance(seen, ApiRequest)
                and (seen.verb, seen.resource, seen.sender.role) == ("watch", "pods", "kubelet")
            ),
            lambda seen: replace(seen, query={}),
        ),
    ),
    Mutation(
        "the client never sees ContainerCreating",
        "ordering/status-reaches-client-last",
        drop(_creating),
    ),
    Mutation(
        "the kubelet gets another revision than etcd stored",
        CHAIN,
        change(TO_KUBELET, lambda seen: _with_metadata(seen, resourceVersion="1")),
    ),
    Mutation(
        "the kubelet deletes with a grace of 30 s",
        "ordering/deletion-chain",
        change(LAST_DELETE, lambda seen: replace(seen, body={"gracePeriodSeconds": 30})),
    ),
    Mutation(
        "a client sees DELETED before the kubelet deletes",
        "ordering/deletion-chain",
        move(_event("DELETED", "solo", "suite"), LAST_DELETE, by=-1),
    ),
    Mutation(
        "the node is Ready",
        NOT_READY,
        step=_step("pod life", "GET /api/v1/nodes/node1", _ready),
    ),
    Mutation("an intruder talks to etcd", "ordering/only-apiserver-reaches-etcd", _intruder),
    Mutation(
        "FailedScheduling does not say why",
        "ordering/not-ready-taint-repels",
        step=_step(
            "ordering/not-ready-taint-repels",
            "wait for FailedScheduling",
            lambda event: {**event, "message": "0/1 nodes are available"},
        ),
    ),
    Mutation(
        "the tainted node is bound",
        "ordering/not-ready-taint-repels",
        move(
            _request("POST", "pods/binding", "repelled", "kube-scheduler"),
            _event("ADDED", "repelled", "kube-scheduler"),
            by=1,
        ),
    ),
    Mutation(
        "a pod is bound while there is no scheduler",
        "ordering/no-scheduler-no-binding",
        move(
            _request("POST", "pods/binding", "waiting", "kube-scheduler"),
            _request("POST", "pods", "pinned", "kubectl"),
            by=0,
        ),
    ),
    Mutation(
        "the pod with a nodeName is bound, too",
        "ordering/no-scheduler-no-binding",
        add(
            _request("POST", "pods/binding", "waiting", "kube-scheduler"),
            lambda seen: replace(seen, name="pinned"),
        ),
    ),
    Mutation(
        "another scheduler's pod is bound",
        "ordering/other-scheduler-name-untouched",
        add(
            _request("POST", "pods/binding", "ours", "kube-scheduler"),
            lambda seen: replace(seen, name="theirs"),
        ),
    ),
    Mutation(
        "no packet of the components shows the marker",
        "ordering/tls-hides-every-payload",
        packets=lambda found: (found[0], []),
    ),
    Mutation(
        "a cluster that is said to speak TLS speaks plaintext",
        "ordering/tls-hides-every-payload",
        setup=Setup.TLS,
    ),
    Mutation(
        "kubectl makes the ReplicaSet",
        OWNERS,
        change(_made("replicasets"), lambda seen: replace(seen, sender=Speaker("kubectl", 1))),
        recording=STANDARD,
    ),
    Mutation(
        "the pod is made before its ReplicaSet",
        OWNERS,
        move(_made("pods"), _made("replicasets"), by=-1),
        recording=STANDARD,
    ),
    Mutation(
        "the pod belongs to nobody",
        OWNERS,
        change(
            lambda seen: isinstance(seen, ApiResponse) and _made("pods")(seen.request),
            lambda seen: replace(seen, body={**seen.body, "metadata": {}}),
        ),
        recording=STANDARD,
    ),
    Mutation(
        "under TLS the scheduler is told after it has bound the pod",
        TLS_CHAIN,
        move(TO_SCHEDULER, BINDING, by=1),
        recording=ENCRYPTED,
    ),
    Mutation(
        "under TLS the kubelet acts before it is told",
        TLS_CHAIN,
        move(PATCH, TO_KUBELET, by=-1),
        recording=ENCRYPTED,
    ),
)
