"""Selectors pick what their words say, and nothing beside it."""

from __future__ import annotations

from dataclasses import replace

from kubewitness.checks.selecting import (
    created_in,
    delivery,
    etcd_delivery,
    known_stored,
    node_of,
    pod_key,
    request,
    response,
    stored,
    subject,
    uid_of,
    watches,
)
from kubewitness.model.observation import ApiObject
from tests.checks import histories as made


def bound(obj: ApiObject) -> bool:
    return bool(node_of(obj))


def test_objects_without_the_fields_have_none() -> None:
    assert (uid_of(None), node_of(None), node_of({"spec": None}), uid_of({"metadata": None})) == ("",) * 4


def test_a_request_is_chosen_by_resource_name_and_sender() -> None:
    wanted = made.request(1, "kube-scheduler", subresource="binding")
    others = [
        replace(wanted, first_frame=2, sender=made.speaker("kubectl")),
        replace(wanted, first_frame=3, name="q"),
        replace(wanted, first_frame=4, namespace="other"),
        replace(wanted, first_frame=5, subresource=""),
        replace(wanted, first_frame=6, method="GET"),
        replace(wanted, first_frame=7, group="apps"),
    ]
    selector = request("POST", "pods/binding", "ns", "p", "kube-scheduler", group="")
    assert selector.all(made.history(wanted, *others)) == [wanted]
    assert selector.words == "POST pods/binding ns/p from kube-scheduler"


def test_an_answer_belongs_to_its_request_even_when_that_is_a_copy() -> None:
    asked = made.request(1)
    answer = made.response(2, replace(asked, sender=made.speaker("unknown")))
    other = made.response(3, replace(asked, first_frame=9))
    assert response(asked).all(made.history(asked, answer, other)) == [answer]


def test_a_delivery_is_chosen_by_uid_kind_receiver_and_state() -> None:
    wanted = made.event(1, "kubelet/node1", made.pod("node1"))
    others = [
        made.event(2, "kubelet/node1", made.pod("node1", uid="other")),
        made.event(3, "kubelet/node1", made.pod("node1"), kind="MODIFIED"),
        made.event(4, "suite", made.pod("node1")),
        made.event(5, "kubelet/node1", made.pod()),
    ]
    selector = delivery("u", kind="ADDED", to="kubelet", where=bound, that="bound")
    assert selector.all(made.history(wanted, *others)) == [wanted]
    assert selector.words == "ADDED for uid u to kubelet bound"


def test_only_a_txn_that_succeeded_stores() -> None:
    done, failed = made.txn(2, made.pod("node1")), made.txn(4, made.pod("node1"), succeeded=False)
    unbound = made.txn(6, made.pod())
    assert stored(made.KEY, bound).all(made.history(done, failed, unbound)) == [done]
    assert stored(pod_key("ns", "q")).all(made.history(done)) == []


def test_what_etcd_first_says_is_either_an_answer_or_an_event() -> None:
    early, answer = made.etcd_event(1, made.pod("node1")), made.txn(3, made.pod("node1"))
    others = [made.etcd_event(4, made.pod()), made.etcd_event(5, made.pod("node1"), kind="DELETE")]
    found = known_stored(made.KEY, bound, "bound").all(made.history(early, answer, *others))
    assert found == [early, answer]


def test_an_etcd_event_is_chosen_by_key_and_kind() -> None:
    put, deleted = made.etcd_event(1, made.pod()), made.etcd_event(2, made.pod(), kind="DELETE")
    history = made.history(put, deleted)
    assert etcd_delivery(made.KEY).all(history) == [put]
    assert etcd_delivery(made.KEY, "DELETE").all(history) == [deleted]
    assert etcd_delivery(pod_key("ns", "q")).all(history) == []


def test_watches_are_requests_of_a_role() -> None:
    wanted = made.request(1, "kubelet/node1", verb="watch")
    listed, other = made.request(2, "kubelet/node1", verb="list"), made.request(3, verb="watch")
    assert watches("kubelet", "pods").all(made.history(wanted, listed, other)) == [wanted]
    assert watches("kubelet", "nodes").all(made.history(wanted)) == []


def test_creates_are_chosen_whatever_the_name() -> None:
    wanted = made.request(1, "kube-controller-manager", name="web-7x")
    others = [made.request(2), replace(wanted, first_frame=3, subresource="binding")]
    selector = created_in("ns", "pods", "kube-controller-manager")
    assert selector.all(made.history(wanted, *others)) == [wanted]


def test_every_message_is_about_its_object() -> None:
    asked, answer = made.request(1), made.txn(3, made.pod())
    seen = [asked, made.response(2, asked), answer.request, answer, made.etcd_event(4, made.pod())]
    assert all("ns/p" in subject(each) for each in [*seen, made.event(5, "suite", made.pod())])
    assert "ns/p" not in subject(made.request(6, name="q"))
