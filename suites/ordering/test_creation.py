"""A pod is created: who hears of it, in which order, and what is stored in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from kubewitness.checks.ordering import (
    attributed,
    exactly_once,
    grace_is_zero,
    happens_in_order,
    kubelets_see_only_their_own,
    node_is_not_ready,
    none_before,
    only_role_connects,
    same_revision,
    sent_as_json,
    spoken_by,
    states_in_order,
)
from kubewitness.checks.selecting import delivery, etcd_delivery, response, watches
from kubewitness.model.behaviour import ARTICLE, Kind, doc
from kubewitness.model.needs import (
    CAPTURED_TRAFFIC,
    ETCD_TRAFFIC,
    NOT_READY_NODE,
    READABLE_TRAFFIC,
    TLS_KEYS,
)
from kubewitness.model.observation import ApiRequest, WatchEvent
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.ordering.conftest import Life, LifeStory
from suites.ordering.pods import CLIENT_STATES, alive
from suites.states import is_terminating

API_CONCEPTS = doc("reference/using-api/api-concepts")
COMPONENTS = doc("concepts/overview/components")
SCHEDULER = doc("concepts/scheduling-eviction/kube-scheduler")
PODS = doc("concepts/workloads/pods/pod-lifecycle")
READABLE = {READABLE_TRAFFIC}
BOTH = {READABLE_TRAFFIC, ETCD_TRAFFIC}


@behaviour(
    "ordering/client-posts-pod-as-json",
    says="kubectl sends the pod to the API server as exactly one JSON POST on pods.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=READABLE,
)  # fmt: skip
def test_client_posts_pod_as_json(solo: LifeStory) -> None:
    posted = cast("ApiRequest", solo.posted())
    solo.story.must(exactly_once(solo.request("POST", "pods")), sent_as_json(posted))


@behaviour(
    "ordering/pod-stored-before-created-response",
    says="etcd's answer to the Txn that puts the pod comes before the client's 201.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=BOTH,
)  # fmt: skip
def test_pod_stored_before_created_response(solo: LifeStory) -> None:
    posted = cast("ApiRequest", solo.posted())
    stored = solo.create_answered()
    answered = solo.story.one("answered", response(posted))
    solo.story.must(happens_in_order(posted, stored, answered))


@behaviour(
    "ordering/pod-stored-before-any-watch-event",
    says="No watcher gets ADDED for the pod before etcd has stored it.",
    kind=Kind.REQUIRED, source=API_CONCEPTS, needs=BOTH,
)  # fmt: skip
def test_pod_stored_before_any_watch_event(solo: LifeStory) -> None:
    stored = solo.created()
    added = delivery(solo.life.uid, kind="ADDED")
    solo.story.first("first delivery", added)
    solo.story.must(none_before(added, stored))


@behaviour(
    "ordering/scheduler-watches-unbound-pods",
    says="The scheduler's open watch delivers the pod with an empty nodeName.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=READABLE,
)  # fmt: skip
def test_scheduler_watches_unbound_pods(solo: LifeStory) -> None:
    posted, delivered = solo.posted(), cast("WatchEvent", solo.delivered())
    solo.story.must(happens_in_order(delivered.request, posted, delivered))


@behaviour(
    "ordering/binding-follows-delivery",
    says="The scheduler posts the pod's binding only after its watch delivered the pod.",
    kind=Kind.OBSERVED, source=SCHEDULER, needs=READABLE,
)  # fmt: skip
def test_binding_follows_delivery(solo: LifeStory) -> None:
    delivered, bound = solo.delivered(), solo.bound()
    solo.story.must(happens_in_order(delivered, bound), spoken_by(bound, "kube-scheduler"))


@behaviour(
    "ordering/binding-stored-before-kubelet-delivery",
    says="The chosen node's kubelet gets the pod only after etcd stored it with that nodeName.",
    kind=Kind.REQUIRED, source=COMPONENTS, needs=BOTH,
)  # fmt: skip
def test_binding_stored_before_kubelet_delivery(solo: LifeStory) -> None:
    stored, delivered = solo.binding_stored(), solo.delivered_to_kubelet()
    solo.story.must(
        happens_in_order(stored, delivered), none_before(delivery(solo.life.uid, to="kubelet"), stored)
    )


@behaviour(
    "ordering/kubelet-acts-after-delivery",
    says="The kubelet's first status PATCH for the pod follows the pod's delivery to it.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=READABLE,
)  # fmt: skip
def test_kubelet_acts_after_delivery(solo: LifeStory) -> None:
    solo.story.must(happens_in_order(solo.delivered_to_kubelet(), solo.status_patched()))


@behaviour(
    "ordering/kubelet-sees-only-own-pods",
    says="A kubelet's watch carries a spec.nodeName field selector and never delivers another node's pod.",
    kind=Kind.REQUIRED, source=doc("reference/access-authn-authz/node"), needs=READABLE,
)  # fmt: skip
def test_kubelet_sees_only_own_pods(life: Life, story: Callable[..., Story]) -> None:
    told = story(life.from_the_start, f"{life.namespace}/{life.name}")
    told.first("watch", watches("kubelet", "pods"))
    told.first("delivery", delivery(life.uid, to="kubelet"))
    requests = watches("kubelet", "pods").all(life.from_the_start)
    told.must(kubelets_see_only_their_own(requests, lambda component: component.partition("/")[2]))


@behaviour(
    "ordering/status-reaches-client-last",
    says="A client's watch sees the pod unbound, bound, Pending with ContainerCreating, Running,"
    " in that order.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=READABLE,
)  # fmt: skip
def test_status_reaches_client_last(solo: LifeStory) -> None:
    seen = delivery(solo.life.uid, to="suite", where=lambda pod: not is_terminating(pod))
    solo.story.first("client's watch", seen)
    first = cast("WatchEvent", seen.all(solo.life.history)[0])
    events = [each for each in seen.all(solo.life.history) if each.connection == first.connection]
    solo.story.must(states_in_order(filter(alive, events), *CLIENT_STATES))  # type: ignore[arg-type]


@behaviour(
    "ordering/whole-chain",
    says="POST, etcd Txn, etcd watch, scheduler watch, binding, Txn, kubelet watch, status PATCH: every link"
    " is there, in this order, joined by uid and mod_revision.",
    kind=Kind.OBSERVED, source=ARTICLE, needs=BOTH,
)  # fmt: skip
def test_whole_chain(solo: LifeStory) -> None:
    posted, stored = solo.posted(), solo.created()
    from_etcd = solo.story.first("from etcd", etcd_delivery(solo.key))
    delivered, bound = solo.delivered(), solo.bound()
    binding, kubelet = solo.binding_stored(), solo.delivered_to_kubelet()
    patched = solo.status_patched()
    solo.story.must(
        happens_in_order(posted, stored, delivered, bound, binding, kubelet, patched),
        happens_in_order(posted, from_etcd, delivered),
        same_revision(solo.create_answered(), from_etcd, delivered),
        same_revision(solo.binding_answered(), kubelet),
    )


@behaviour(
    "ordering/tls-same-chain",
    says="With key logs, the decoded chain in `tls` equals the one in `insecure`.",
    kind=Kind.OBSERVED, source=ARTICLE, needs={TLS_KEYS},
)  # fmt: skip
def test_tls_same_chain(solo: LifeStory) -> None:
    posted, stored, delivered = solo.posted(), solo.created(), solo.delivered()
    bound, binding, kubelet = solo.bound(), solo.binding_stored(), solo.delivered_to_kubelet()
    solo.story.must(
        happens_in_order(posted, stored, delivered, bound, binding, kubelet, solo.status_patched())
    )


@behaviour(
    "ordering/deletion-chain",
    says="DELETE sets deletionTimestamp; the kubelet stops the containers and deletes with grace 0; watchers"
    " then see DELETED.",
    kind=Kind.REQUIRED, source=PODS, needs=READABLE,
)  # fmt: skip
def test_deletion_chain(solo: LifeStory) -> None:
    asked = solo.story.one("asked", solo.request("DELETE", "pods", "kubectl"))
    told = solo.story.first(
        "told", delivery(solo.life.uid, to="kubelet", where=is_terminating, that="terminating")
    )
    deleted = solo.story.one("deleted by the kubelet", solo.request("DELETE", "pods", "kubelet"))
    # To a watcher with a filter, such as the scheduler, a pod is DELETED when it no longer matches.
    gone = solo.story.first("gone", delivery(solo.life.uid, kind="DELETED", to="suite"))
    solo.story.must(
        happens_in_order(asked, told, deleted, gone),
        none_before(delivery(solo.life.uid, kind="DELETED", to="suite"), deleted),
        grace_is_zero(cast("ApiRequest", deleted)),
    )


@behaviour(
    "ordering/untainted-not-ready-node-is-used",
    says="With the not-ready taint removed, a NotReady node is bound all the same.",
    kind=Kind.OBSERVED, source=ARTICLE, needs={READABLE_TRAFFIC, NOT_READY_NODE},
)  # fmt: skip
def test_untainted_not_ready_node_is_used(solo: LifeStory) -> None:
    bound = solo.bound()
    solo.story.must(happens_in_order(solo.delivered(), bound), node_is_not_ready(solo.life.node))


@behaviour(
    "ordering/only-apiserver-reaches-etcd",
    says="No process but an API server opens a connection to etcd.",
    kind=Kind.OBSERVED, source=COMPONENTS, needs={CAPTURED_TRAFFIC},
)  # fmt: skip
def test_only_apiserver_reaches_etcd(life: Life, story: Callable[..., Story]) -> None:
    told = story(life.from_the_start)
    told.must(attributed(2379), only_role_connects(2379, "kube-apiserver"))
