"""A cluster that exists is found by its kubeconfig, used as it is, and left as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubewitness.clusters import existing
from kubewitness.clusters.configuration import kubeconfig
from kubewitness.clusters.errors import ClusterError, Refused, UsageError
from kubewitness.clusters.existing import Access, ExistingCluster, discover
from kubewitness.clusters.guarding import OWNED
from kubewitness.model.cluster import Setup
from kubewitness.model.needs import CAPTURED_TRAFFIC, DISRUPTION, TWO_NODES, offered
from tests.clusters.conftest import MadeUpCluster


def test_it_is_described_by_its_version_and_the_nodes_that_take_any_pod(
    made_up: MadeUpCluster, credentials: Path
) -> None:
    made_up.node("b")
    made_up.node("a", taints=[{"key": "soft", "effect": "PreferNoSchedule"}])
    made_up.node("control", taints=[{"key": "control-plane", "effect": "NoSchedule"}])
    made_up.node("cordoned", unschedulable=True)
    made_up.node("silent")
    made_up.objects["/api/v1/nodes/silent"]["status"]["conditions"][0]["status"] = "Unknown"
    spec = discover(Access(credentials), disruption=False)
    assert (spec.version, spec.label, spec.setup, spec.node_names) == (
        "1.36.4", "existing", Setup.INSECURE, ("a", "b"),
    )  # fmt: skip
    assert TWO_NODES in offered(spec)
    assert not {DISRUPTION, CAPTURED_TRAFFIC} & offered(spec)
    assert DISRUPTION in offered(discover(Access(credentials), disruption=True))


def test_a_cluster_without_a_free_node_cannot_be_judged(made_up: MadeUpCluster, credentials: Path) -> None:
    made_up.node("cordoned", unschedulable=True)
    with pytest.raises(ClusterError, match=r"has 1 nodes, but none is Ready, schedulable and without taints"):
        discover(Access(credentials), disruption=False)


def test_a_missing_right_is_named(made_up: MadeUpCluster, credentials: Path) -> None:
    made_up.refused["/api/v1/nodes"] = 403
    with pytest.raises(ClusterError, match=r"lacks a right on .*: GET /api/v1/nodes: 403 it is forbidden"):
        discover(Access(credentials), disruption=False)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9")
    with pytest.raises(ClusterError, match=re.escape("http://127.0.0.1:9") + ".* cannot be reached"):
        discover(Access(file), disruption=False)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it does not exist"),
        ("", "Invalid kube-config"),
        ("{", "while parsing"),
        ("just words", ""),
        ("clusters: 5", ""),
    ],
)
def test_a_broken_kubeconfig_is_wrong_usage(content: str | None, why: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=rf"kubeconfig {file} cannot be used: .*{why}"):
        Access(file).api()


def test_a_context_that_is_not_there_is_wrong_usage(credentials: Path) -> None:
    with pytest.raises(UsageError, match=r"other.* --context"):
        Access(credentials, "other").api()


def cluster(credentials: Path) -> ExistingCluster:
    spec = discover(Access(credentials), disruption=False)
    return ExistingCluster(spec, Access(credentials), Path, {}, lambda _: None)


def test_what_takes_a_hand_on_the_cluster_is_refused(made_up: MadeUpCluster, credentials: Path) -> None:
    made_up.node("a")
    found = cluster(credentials)
    with pytest.raises(Refused, match=r"cannot end kube-scheduler of a cluster that it did not make"):
        found.end("kube-scheduler")
    with pytest.raises(Refused, match=r"cannot add or switch off nodes"):
        found.nodes.add()
    found.stop()


def test_nodes_without_the_test_images_end_the_start_and_nothing_stays(
    made_up: MadeUpCluster, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.node("a")
    found = cluster(credentials)
    namespace = f"/api/v1/namespaces/kw-images-{found._guarded.run}"
    made_up.objects[f"{namespace}/serviceaccounts/default"] = {"metadata": {"name": "default"}}
    monkeypatch.setattr(existing, "_START_S", 0.1)
    with pytest.raises(ClusterError, match=r"(?s)test images to run on a.*--image witness=REFERENCE"):
        found.start()
    assert not [path for path in made_up.objects if path.startswith(namespace)]


def test_namespaces_of_killed_runs_are_removed(made_up: MadeUpCluster, credentials: Path) -> None:
    for name, labels in (("left", {OWNED: "abc"}), ("theirs", {})):
        made_up.objects[f"/api/v1/namespaces/{name}"] = {"metadata": {"name": name, "labels": labels}}
    assert existing.clean(Access(credentials)) == ["namespace left"]
    assert "/api/v1/namespaces/theirs" in made_up.objects
