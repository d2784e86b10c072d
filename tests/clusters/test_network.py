"""Addresses that do not meet, and rules that name every mark."""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess
from typing import Any

import pytest

from kubewitness.clusters import network


def test_nodes_and_their_pods_have_ranges_of_their_own() -> None:
    assert len({network.node_address(number) for number in (1, 2, 3)}) == 3
    first, second = (ipaddress.ip_network(network.pod_range(number)) for number in (1, 2))
    assert not first.overlaps(second)
    assert first.subnet_of(ipaddress.IPv4Network(network.PODS))  # type: ignore[arg-type]
    assert not ipaddress.ip_network(network.PODS).overlaps(ipaddress.ip_network(network.SERVICES))


def test_a_link_avoids_addresses_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = json.dumps([{"dst": "198.18.0.1"}, {"dst": "default"}]).encode()

    def listed(argv: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(argv, 0, routes)

    blocks = [ipaddress.IPv4Network("198.18.0.0/30"), ipaddress.IPv4Network("198.18.0.4/30")]
    monkeypatch.setattr(subprocess, "run", listed)
    monkeypatch.setattr(random, "choice", lambda _: blocks.pop(0))
    assert network.free_link_addresses() == ("198.18.0.5", "198.18.0.6")


def test_every_node_is_linked_and_routed() -> None:
    lines = list(network.control_plane_links("kw0", "198.18.0.2", {1: "/proc/7/ns/net", 2: "/proc/8/ns/net"}))
    for number, path in ((1, "/proc/7/ns/net"), (2, "/proc/8/ns/net")):
        assert f"link add n{number} type veth peer name eth0 netns {path}" in lines
        assert f"route add 10.244.{number}.0/24 via 10.77.0.1{number}" in lines


def test_a_node_reaches_the_pods_of_the_others_only() -> None:
    routes = [line for line in network.node_links(2, [1, 2, 3]) if line.startswith("route add 10.244")]
    assert routes == ["route add 10.244.1.0/24 via 10.77.0.11", "route add 10.244.3.0/24 via 10.77.0.13"]


def test_each_mark_has_its_rule() -> None:
    rules = network.marking()
    marks = range(1, network.MARKS + 1)
    assert all(f"meta skgid {network.MARKED_GROUPS + mark} ip dscp set {mark}\n" in rules for mark in marks)
    assert rules.count("{") == rules.count("}")
