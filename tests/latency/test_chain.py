from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubewitness.latency.chain import CLIENT, LINKS, Chains, Link, contradicting, incomplete
from kubewitness.model.observation import Observation
from tests.checks.histories import etcd_event, event, pod, request, response, txn

STARTED = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}


def _told(frame: int, obj: dict[str, Any]) -> Observation:
    seen = event(frame, "host", obj, "MODIFIED")
    return replace(seen, request=replace(seen.request, headers={"user-agent": CLIENT}))


def _life() -> list[Observation]:
    posted = request(1, "host")
    bound = pod("node1")
    running = {**bound, "spec": {**bound["spec"], "containers": [{"name": "main"}]}, "status": STARTED}
    binding = request(8, "kube-scheduler", subresource="binding")
    return [
        posted, txn(4, pod()), etcd_event(5, pod()), event(6, "kube-scheduler", pod()),
        response(7, posted, pod()),
        binding, txn(10, bound), etcd_event(11, bound), _told(12, bound),
        _told(20, running),
    ]  # fmt: skip


def _chains(*seen: Observation) -> Chains:
    chains = Chains("ns")
    for each in seen:
        chains.take(each)
    chains.intended({"p": 0})
    return chains


def test_a_pods_life_is_a_chain_of_all_links() -> None:
    chain = _chains(*_life()).of["p"]
    assert chain.lacks() == chain.lacks("answered", "running") == []
    assert (chain.uid, chain.node, chain.intended_ns) == ("u", "node1", 0)
    assert (chain.bound, chain.told, chain.running) == (
        Link(10, 10, 10, 10), Link(12, 12, 12, 12), Link(20, 20, 20, 20),
    )  # fmt: skip
    assert contradicting([chain]) == []


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_is_not_seen_is_named(link: str) -> None:
    place = {"posted": 0, "stored": 1, "watched": 2, "delivered": 3, "binding": 5, "bound": 6, "rewatched": 7}
    life = [each for at, each in enumerate(_life()) if at != place.get(link, 8) and at != 9]
    chain = _chains(*life).of["p"]
    assert len(chain.lacks()) == 1
    (violation,) = incomplete([chain])
    assert violation.wanted.endswith("for p")


def test_a_binding_before_its_cause_contradicts() -> None:
    life = _life()
    life[3], life[5] = event(9, "kube-scheduler", pod()), request(3, "kube-scheduler", subresource="binding")
    (violation,) = contradicting(_chains(*life).of.values())
    assert violation.frames == (9, 3)


def test_a_pod_that_the_server_names_is_posted_by_that_name() -> None:
    posted = request(1, "kube-controller-manager", name="")
    chain = _chains(posted, response(7, posted, pod())).of["p"]
    assert chain.posted == Link(1, 1, 1, 1)


def test_the_first_of_a_kind_counts() -> None:
    chain = _chains(*_life(), txn(30, pod("node1")), event(31, "kube-scheduler", pod())).of["p"]
    assert chain.bound == Link(10, 10, 10, 10)
    assert chain.delivered == Link(6, 6, 6, 6)


def test_others_are_not_mixed_in() -> None:
    elsewhere = request(1, "host", namespace="other")
    failed = replace(response(3, request(2, "host")), status=409)
    chains = _chains(
        elsewhere, response(2, elsewhere, pod()), failed, txn(4, pod(), succeeded=False),
        event(5, "kube-proxy", pod()), event(6, "kube-scheduler", pod("node1")),
        request(7, "kubectl", subresource="binding"),
    )  # fmt: skip
    assert len(chains.of["p"].lacks()) == len(LINKS)
    chains.intended({"q": 5})
    assert list(chains.of) == ["q"]
