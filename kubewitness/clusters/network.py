"""The addresses of a local cluster, and the commands that lay its links.

Every network namespace belongs to the run, so these addresses are the same in
each and never meet. Only the link between the host and the control plane
needs a pair of addresses that no one else on the host uses.
"""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess
from collections.abc import Iterable, Iterator, Mapping

MACHINES = "10.77.0.0/24"
CONTROL_PLANE = "10.77.0.1"
SERVICES = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"
SERVICE_DNS = "10.96.0.10"
PODS = "10.244.0.0/16"
#: RFC 2544 sets this range aside for tests inside one network; no public host has an address in it.
_LINKS = ipaddress.IPv4Network("198.18.0.0/15")
#: Six bits of an IPv4 header, 0 of them for processes without a mark (RFC 2474).
MARKS = 63
MARKED_GROUPS = 50000  # as in keeper.py, which imports nothing
MOST_NODES = 32  # of one cluster, those that joined later included
INTERFACES = ("lo", "br0", "host0")


def node_address(number: int) -> str:
    """The address of node ``number``, counted from 1."""
    return f"10.77.0.{10 + number}"


def pod_range(number: int) -> str:
    return f"10.244.{number}.0/24"


def free_link_addresses() -> tuple[str, str]:
    """An unused pair of addresses: the host's end and the cluster's."""
    listed = subprocess.run(["ip", "-json", "route", "show", "table", "all"], check=True, capture_output=True)
    taken = {route["dst"].split("/")[0] for route in json.loads(listed.stdout) if route.get("dst")}
    blocks = list(_LINKS.subnets(new_prefix=30))
    while True:
        # Chosen at random, since another run may be choosing at this very moment.
        block = random.choice(blocks)  # noqa: S311 - not a secret
        host, inside = map(str, list(block.hosts())[:2])
        if not taken & {str(block.network_address), host, inside}:
            return host, inside


def control_plane_links(link: str, inside: str, nodes: Mapping[int, str]) -> Iterator[str]:
    """Lines for ``ip -batch`` in the control plane; ``nodes`` maps numbers to namespaces' paths."""
    yield "link set lo up"
    yield f"link add host0 type veth peer name {link} netns /proc/1/ns/net"
    yield f"address add {inside}/30 dev host0"
    yield "link set host0 up"
    yield "link add br0 type bridge"
    yield f"address add {CONTROL_PLANE}/24 dev br0"
    yield "link set br0 up"
    for number, path in nodes.items():
        yield from link_to_node(number, path)


def link_to_node(number: int, path: str) -> Iterator[str]:
    """The same for one more node, whose network namespace is at ``path``."""
    yield f"link add n{number} type veth peer name eth0 netns {path}"
    yield f"link set n{number} master br0 up"
    yield route_to_pods(number)


def port_of(node: str) -> str:
    """The control plane's end of the link to ``node3`` and the like."""
    return "n" + node.removeprefix("node")


def route_to_pods(number: int) -> str:
    return f"route add {pod_range(number)} via {node_address(number)}"


def node_links(number: int, known: Iterable[int]) -> Iterator[str]:
    """Lines for ``ip -batch`` in a node's namespace; ``known`` are the cluster's nodes, this one or not."""
    yield "link set lo up"
    yield f"address add {node_address(number)}/24 dev eth0"
    yield "link set eth0 up"
    yield f"route add default via {CONTROL_PLANE}"
    for other in known:
        if other != number:
            yield route_to_pods(other)


def machine_links() -> Iterator[str]:
    """Lines for a namespace in which the node is a machine of its own: its card, tap0, takes eth0's place."""
    yield "link add br0 type bridge"
    yield "link set eth0 master br0 up"
    yield "tuntap add dev tap0 mode tap"
    yield "link set tap0 master br0 up"
    yield "link set br0 up"


def marking() -> str:
    """Rules for nft: the first packet of a connection carries, as its DSCP, the mark of who opens it.

    The table is none that a node's own software knows: a whole node may live in that namespace.
    The kernel looks at the socket's owner while the packet leaves, so not even
    a connection that is over in a millisecond stays anonymous.
    """
    rules = [f"    meta skgid {MARKED_GROUPS + mark} ip dscp set {mark}" for mark in range(1, MARKS + 1)]
    return "\n".join(
        [
            "table ip kubewitness-marking {",
            "  chain marking {",
            "    type filter hook output priority 0; policy accept;",
            "    tcp flags & (syn | ack) != syn accept",
            *rules,
            "  }",
            "}",
        ]
    )
