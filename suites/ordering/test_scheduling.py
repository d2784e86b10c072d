"""Who may bind a pod, and what keeps it from being bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from fixtures.stage import NOT_READY, Scene, Stage
from kubewitness.checks.ordering import happens_in_order, never, none_before, owned_by, says_why
from kubewitness.checks.selecting import created_in, delivery, pod_key, request, response, stored
from kubewitness.clusters.api import Resource, pods
from kubewitness.model.behaviour import ARTICLE, Kind, doc
from kubewitness.model.needs import CONTROLLERS, DISRUPTION, ETCD_TRAFFIC, NOT_READY_NODE, READABLE_TRAFFIC
from kubewitness.model.observation import ApiRequest, ApiResponse
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.ordering.conftest import START_S
from suites.ordering.pods import deployment, pause_pod
from suites.states import is_bound, is_running

Tell = Callable[..., Story]
BOTH = {READABLE_TRAFFIC, ETCD_TRAFFIC}


@behaviour(
    "ordering/not-ready-taint-repels",
    says="A pod is not bound to a node that carries node.kubernetes.io/not-ready:NoSchedule, and"
    " FailedScheduling says why.",
    kind=Kind.REQUIRED, source=doc("concepts/scheduling-eviction/taint-and-toleration"),
    needs={READABLE_TRAFFIC, NOT_READY_NODE},
)  # fmt: skip
def test_not_ready_taint_repels(untainted: Stage, scene: Scene, story: Tell) -> None:
    namespace = scene.namespace()
    (node,) = scene.nodes
    scene.taint(node, [NOT_READY])
    with scene.recording(pods(namespace)) as recording:
        scene.kubectl("create", "-f", "-", stdin=pause_pod(namespace, "repelled"))
        event = scene.wait(
            Resource(f"/api/v1/namespaces/{namespace}/events"), "repelled", bool,
            fields="involvedObject.name=repelled,reason=FailedScheduling",
            what="FailedScheduling", within_s=START_S,
        )  # fmt: skip
        repelled = scene.request("GET", pods(namespace).item("repelled"))
        scene.taint(node, [])
        scene.wait(pods(namespace), "repelled", is_bound, what="repelled to be bound", within_s=START_S)
    told = story(recording.history, f"{namespace}/repelled")
    told.first("delivered", delivery(repelled["metadata"]["uid"], kind="ADDED", to="kube-scheduler"))
    untaint = told.first("taint removed", request("PATCH", "nodes", "", node, "suite"))
    binding = request("POST", "pods/binding", namespace, "repelled")
    told.first("bound once it is gone", binding)
    told.must(none_before(binding, untaint), says_why(event, "taint", "tolerate"))


@behaviour(
    "ordering/no-scheduler-no-binding",
    says="Without a scheduler a pod stays Pending and unbound; a nodeName set by the client bypasses"
    " scheduling.",
    kind=Kind.REQUIRED, source=doc("concepts/scheduling-eviction/assign-pod-node"),
    needs={*BOTH, DISRUPTION},
)  # fmt: skip
def test_no_scheduler_no_binding(untainted: Stage, scene: Scene, story: Tell) -> None:
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as recording:
        with scene.without("kube-scheduler"):
            scene.kubectl("create", "-f", "-", stdin=pause_pod(namespace, "waiting"))
            scene.kubectl("create", "-f", "-", stdin=pause_pod(namespace, "pinned", nodeName=scene.nodes[0]))
            pinned = scene.wait(pods(namespace), "pinned", is_running, what="pinned to run", within_s=START_S)
        scene.wait(pods(namespace), "waiting", is_bound, what="waiting to be bound", within_s=START_S)
    told = story(recording.history, f"{namespace}/waiting", f"{namespace}/pinned")
    created = told.first("waiting is stored", stored(pod_key(namespace, "waiting")))
    uid = pinned["metadata"]["uid"]
    running = told.first("pinned runs", delivery(uid, to="suite", where=is_running, that="Running"))
    binding = request("POST", "pods/binding", namespace, "waiting")
    bound = told.first("bound by the new scheduler", binding)
    told.must(
        happens_in_order(created, running, bound),
        none_before(binding, running),
        never(request("POST", "pods/binding", namespace, "pinned")),
    )


@behaviour(
    "ordering/other-scheduler-name-untouched",
    says="The default scheduler never binds a pod that names another scheduler.",
    kind=Kind.REQUIRED, source=doc("tasks/extend-kubernetes/configure-multiple-schedulers"), needs=BOTH,
)  # fmt: skip
def test_other_scheduler_name_untouched(untainted: Stage, scene: Scene, story: Tell) -> None:
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as recording:
        scene.kubectl(
            "create", "-f", "-", stdin=pause_pod(namespace, "theirs", schedulerName="somebody-else")
        )
        scene.kubectl("create", "-f", "-", stdin=pause_pod(namespace, "ours"))
        scene.wait(pods(namespace), "ours", is_running, what="ours to run", within_s=START_S)
    told = story(recording.history, f"{namespace}/theirs", f"{namespace}/ours")
    theirs = told.first("theirs is stored", stored(pod_key(namespace, "theirs")))
    ours = told.first("ours is bound", request("POST", "pods/binding", namespace, "ours", "kube-scheduler"))
    told.must(happens_in_order(theirs, ours), never(request("POST", "pods/binding", namespace, "theirs")))


@behaviour(
    "ordering/owner-chain",
    says="Deployment, ReplicaSet, Pod and binding are created in that order, each by the controller that owns"
    " the step.",
    kind=Kind.OBSERVED, source=ARTICLE, needs={*BOTH, CONTROLLERS},
)  # fmt: skip
def test_owner_chain(untainted: Stage, scene: Scene, story: Tell) -> None:
    namespace = scene.namespace()
    with scene.recording(pods(namespace)) as recording:
        scene.kubectl("create", "-f", "-", stdin=deployment(namespace, "web"))
        scene.wait(
            Resource(f"/apis/apps/v1/namespaces/{namespace}/deployments"), "web",
            lambda found: bool(found and found.get("status", {}).get("availableReplicas")),
            what="web to be available", within_s=START_S,
        )  # fmt: skip
    told = story(recording.history, f"{namespace}/web")
    owner = told.one("Deployment", created_in(namespace, "deployments", "kubectl"))
    replicas = told.one("ReplicaSet", created_in(namespace, "replicasets", "kube-controller-manager"))
    pod = told.one("Pod", created_in(namespace, "pods", "kube-controller-manager"))
    owner_made, replicas_made, pod_made = (
        cast("ApiResponse", told.first(f"{name} made", response(cast("ApiRequest", each))))
        for name, each in (("Deployment", owner), ("ReplicaSet", replicas), ("Pod", pod))
    )
    bound = told.one("binding", created_in(namespace, "pods/binding", "kube-scheduler"))
    told.must(
        happens_in_order(owner, replicas, pod, bound),
        owned_by(replicas_made, owner_made),
        owned_by(pod_made, replicas_made),
    )
