"""What is built before a cluster is made depends on the tests that can run on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fixtures.cluster import needed_assets
from kubewitness.assets import ALL, EXTRA
from kubewitness.model.behaviour import Behaviour, Kind, doc
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.needs import CONTROLLERS, CSI_DRIVER, SIMULATED_NODES


def item(topology: Topology, *needs: str) -> Any:
    """A test, as pytest has collected it for one cluster."""
    declared = Behaviour("volumes/a", "It is.", Kind.REQUIRED, doc("concepts"), frozenset(needs))
    spec = ClusterSpec("1.37", Provider.LOCAL, Setup.TLS, topology, 1)
    marker = SimpleNamespace(args=(declared,))
    return SimpleNamespace(
        get_closest_marker=lambda _: marker, callspec=SimpleNamespace(params={"stage": spec})
    )


def test_most_need_no_more_than_a_cluster_is_made_of() -> None:
    assert needed_assets([item(Topology.STANDARD), item(Topology.STANDARD, CONTROLLERS)]) == [*ALL]


def test_an_extra_is_had_once_for_all_that_need_it() -> None:
    wanted = [item(Topology.STANDARD, CSI_DRIVER), item(Topology.STANDARD, CSI_DRIVER, CONTROLLERS)]
    assert needed_assets(wanted) == [*ALL, *EXTRA[CSI_DRIVER]]


def test_what_simulates_nodes_is_had_where_they_are_simulated() -> None:
    assert needed_assets([item(Topology.SIMULATED, SIMULATED_NODES)]) == [*ALL, *EXTRA[SIMULATED_NODES]]
    assert needed_assets([item(Topology.SIMULATED), item(Topology.STANDARD, SIMULATED_NODES)]) == [*ALL]


def test_nothing_is_had_for_a_test_that_its_cluster_cannot_run() -> None:
    assert needed_assets([item(Topology.MINIMAL, CSI_DRIVER)]) == [*ALL]
