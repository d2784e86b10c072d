"""The pod network of a node image, on made-up events: what it writes, and what it asks of the kernel."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.clusters.nodeimage import building

#: It tells the server's address, and the events once: the second watch is refused.
KUBECTL = """\
set -e
case "$*" in
*"config view"*) echo https://server:6443 ;;
"get nodes"*)
    test $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT = server:6443
    cat events && rm events ;;
esac
"""
SELF, PEER = "ADDED|me|10.1.1.0/24|192.0.2.1", "ADDED|peer|10.1.2.0/24|192.0.2.2"
Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs it on the node `me` for some events; the commands that it gave to ip and nft."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "net.d").mkdir()
    for name, script in (
        ("kubectl", KUBECTL),
        *((each, f'echo "{each} $*" >>asked\n') for each in ("ip", "nft")),
    ):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}")
        (tmp_path / "bin" / name).chmod(0o755)

    def run(*events: str) -> list[str]:
        (tmp_path / "events").write_text("".join(f"{each}\n" for each in events))
        path = f"{tmp_path}/bin:{os.environ['PATH']}"
        command = [building.FILES / "kind" / "pod-network", tmp_path / "net.d"]
        subprocess.run(command, cwd=tmp_path, env={"PATH": path, "NODE": "me"}, check=True)
        return (tmp_path / "asked").read_text().splitlines()[1:]  # the first makes the table

    return run


def test_pods_of_the_node_get_addresses_of_its_range(run: Run, tmp_path: Path) -> None:
    assert run(SELF) == [
        "nft add element ip kubewitness pods { 10.1.1.0/24 }",
        "nft add rule ip kubewitness leaving ip saddr 10.1.1.0/24 ip daddr != @pods masquerade",
    ]
    (config,) = (tmp_path / "net.d").iterdir()
    plugins = json.loads(config.read_text())["plugins"]
    assert [each["type"] for each in plugins] == ["bridge", "portmap"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.1.1.0/24"}]]


def test_a_peer_is_routed_to_as_long_as_it_is_there(run: Run, tmp_path: Path) -> None:
    assert run(PEER, "DELETED|peer|10.1.2.0/24|192.0.2.2", "DELETED|stranger||") == [
        "nft add element ip kubewitness pods { 10.1.2.0/24 }",
        "ip route replace 10.1.2.0/24 via 192.0.2.2",
        "ip route delete 10.1.2.0/24",
    ]
    assert not list((tmp_path / "net.d").iterdir())


def test_what_says_nothing_new_changes_nothing(run: Run) -> None:
    assert run(PEER, PEER.replace("ADDED", "MODIFIED")) == run(PEER)[:2]


def test_a_node_that_has_no_range_yet_is_waited_for(run: Run) -> None:
    assert run("ADDED|peer||192.0.2.2", "MODIFIED|peer|10.1.2.0/24|192.0.2.2")[1:] == [
        "ip route replace 10.1.2.0/24 via 192.0.2.2"
    ]
