"""A cluster without real nodes: what it is started with, what it offers, and what cannot be asked of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness import cli
from kubewitness.clusters import doctor, simulated
from kubewitness.clusters.components import Components
from kubewitness.model import needs
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology

TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


def spec(setup: Setup = Setup.TLS, topology: Topology = Topology.SIMULATED) -> ClusterSpec:
    return ClusterSpec("1.37", Provider.LOCAL, setup, topology, 0)


def parts(directory: Path, setup: Setup = Setup.TLS, topology: Topology = Topology.SIMULATED) -> Components:
    return Components.make(spec(setup, topology), directory, directory / "bin", "kw", "198.18.0.2")


def flag(argv: list[str | Path], name: str) -> str:
    """The value after a flag, or behind its equals sign."""
    texts = [str(each) for each in argv]
    if name in texts:
        return texts[texts.index(name) + 1]
    (found,) = (each.partition("=")[2] for each in texts if each.startswith(f"{name}="))
    return found


def test_a_node_is_ready_and_has_room_from_the_beginning() -> None:
    made = simulated.node("big", "zone-b", [TAINT], {"only": "me", "kubernetes.io/os": "plan9"})
    labels = made["metadata"]["labels"]
    assert labels[simulated.SIMULATED] == "true"
    assert (labels["topology.kubernetes.io/zone"], labels["only"]) == ("zone-b", "me")
    assert labels["kubernetes.io/os"] == "plan9"
    assert made["spec"]["taints"] == [TAINT]
    assert made["status"]["allocatable"] == {"cpu": "4", "memory": "32Gi", "pods": "110"}
    assert [(each["type"], each["status"]) for each in made["status"]["conditions"]] == [("Ready", "True")]
    assert simulated.node("plain", "zone-a")["spec"] == {}


def test_nodes_are_spread_evenly_over_zones() -> None:
    made = [*simulated.nodes(10)]
    assert len({each["metadata"]["name"] for each in made}) == 10
    zones = Counter(each["metadata"]["labels"]["topology.kubernetes.io/zone"] for each in made)
    assert sorted(zones.values()) == [3, 3, 4]


def test_kwok_writes_nothing_but_what_stages_say(tmp_path: Path) -> None:
    argv = parts(tmp_path).kwok()
    configuration, *stages = yaml.safe_load_all(Path(flag(argv, "--config")).read_text())
    assert configuration["options"]["manageNodesWithLabelSelector"] == f"{simulated.SIMULATED}=true"
    assert not {"nodeLeaseDurationSeconds", "nodePort"} & set(configuration["options"])
    selectors: dict[str, Any] = {each["metadata"]["name"]: each["spec"]["selector"] for each in stages}
    assert set(selectors) == {"node-ready", "pod-run", "pod-gone"}
    assert selectors["pod-run"]["matchLabels"] == simulated.RUN
    assert "matchLabels" not in selectors["pod-gone"]


@pytest.mark.parametrize("setup", Setup)
def test_kwok_asks_as_all_others_do(setup: Setup, tmp_path: Path) -> None:
    kubeconfig = json.loads(Path(flag(parts(tmp_path, setup).kwok(), "--kubeconfig")).read_text())
    server = kubeconfig["clusters"][0]["cluster"]["server"]
    user = kubeconfig["users"][0]["user"]
    plain = setup is Setup.INSECURE
    assert server == ("http://127.0.0.1:8080" if plain else "https://127.0.0.1:6443")
    assert [Path(each).name for each in user.values()] == ([] if plain else ["kwok.crt", "kwok.key"])


@pytest.mark.parametrize(
    ("topology", "disabled"),
    [(Topology.SIMULATED, "ServiceAccount,TaintNodesByCondition"), (Topology.MINIMAL, "ServiceAccount")],
)
def test_new_nodes_have_no_taint_that_nobody_takes_away(
    topology: Topology, disabled: str, tmp_path: Path
) -> None:
    argv = parts(tmp_path, topology=topology).apiserver()
    assert flag(argv, "--disable-admission-plugins") == disabled


def test_nobody_waits_for_heartbeats(tmp_path: Path) -> None:
    assert flag(parts(tmp_path).controller_manager(), "--controllers") == "*,-nodelifecycle"
    argv = parts(tmp_path, topology=Topology.STANDARD).controller_manager()
    assert not [each for each in argv if str(each).startswith("--controllers")]


def test_no_component_limits_itself(tmp_path: Path) -> None:
    made = parts(tmp_path, topology=Topology.STANDARD)
    limits = made.client_limits()
    assert set(limits) == {"kube-scheduler", "kubelet", "kube-controller-manager"}
    for argv in (made.scheduler(), made.controller_manager()):
        given = {"qps": int(flag(argv, "--kube-api-qps")), "burst": int(flag(argv, "--kube-api-burst"))}
        assert given == limits["kube-scheduler"]
    kubelet = json.loads(Path(flag(made.kubelet(1), "--config")).read_text())
    assert {"qps": kubelet["kubeAPIQPS"], "burst": kubelet["kubeAPIBurst"]} == limits["kubelet"]
    assert parts(tmp_path).client_limits()["kwok"] == {"qps": None, "burst": None}


@pytest.mark.parametrize("in_cycle", [True, False])
def test_a_delayed_scheduler_waits_where_it_is_told_to(in_cycle: bool, tmp_path: Path) -> None:
    usual = parts(tmp_path).scheduler()
    argv = parts(tmp_path).delayed_scheduler(tmp_path / "delayed", in_cycle=in_cycle)
    content = json.loads(Path(flag(argv, "--config")).read_text())
    (profile,) = content["profiles"]
    assert argv[0] == tmp_path / "delayed"
    assert set(profile["plugins"]) == ({"bind", "preFilter"} if in_cycle else {"bind"})
    assert [each["name"] for each in profile["plugins"]["bind"]["enabled"]][1] == "DefaultBinder"
    connection = content["clientConnection"]
    assert connection["kubeconfig"] == flag(usual, "--kubeconfig")
    assert (str(connection["qps"]), str(connection["burst"])) == (
        flag(usual, "--kube-api-qps"),
        flag(usual, "--kube-api-burst"),
    )


def test_it_offers_simulated_nodes_and_no_real_ones() -> None:
    plain, encrypted = needs.offered(spec(Setup.INSECURE)), needs.offered(spec(Setup.TLS))
    assert {needs.SIMULATED_NODES, needs.CAPTURED_TRAFFIC, needs.DISRUPTION} <= plain & encrypted
    assert needs.READABLE_TRAFFIC in plain
    real = {needs.REAL_NODES, needs.TWO_NODES, needs.CONTROLLERS, needs.NOT_READY_NODE, needs.CSI_DRIVER}
    assert not real & (plain | encrypted)


def test_what_is_not_for_simulated_nodes_takes_real_ones() -> None:
    for_them = frozenset({needs.SIMULATED_NODES, needs.READABLE_TRAFFIC})
    assert needs.needed(for_them) == for_them
    assert needs.needed(frozenset()) == {needs.REAL_NODES}


def test_the_doctor_asks_for_no_more_than_it_takes() -> None:
    usual, less = doctor.examine("1.37"), doctor.examine("1.37", Topology.SIMULATED)
    assert {each.what for each in usual} - {each.what for each in less} == {
        "file system overlay", "control groups", "inotify instances",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nodes", "3"), "--nodes 3: the simulated topology has no real node"),
        (("--emulated-nodes", "1"), "--emulated-nodes 1: simulated has none"),
        (("--provider", "kind"), "--provider kind: its clusters are of the standard topology"),
    ],
)
def test_what_cannot_be_asked_of_it_is_told(
    options: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "require", lambda *_, **__: None)
    assert cli.main(["up", "--topology", "simulated", *options]) == cli.EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kubewitness: {said}")
