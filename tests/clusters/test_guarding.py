"""In a cluster that is not ours nothing is changed but what is our own, or all is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters.errors import ClusterError, Refused
from kubewitness.clusters.guarding import OWNED, GuardedApi, owned_namespaces
from tests.clusters.conftest import MadeUpCluster

POD: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"containers": []}}
NODE = "/api/v1/nodes/n1"
Make = Callable[..., GuardedApi]


@pytest.fixture
def guarded(made_up: MadeUpCluster, credentials: Path) -> Iterator[Make]:
    """Makes an API with a namespace `ours` in it."""
    made: list[GuardedApi] = []
    made_up.node("n1")

    def make(*, disruption: bool = False, **images: str) -> GuardedApi:
        api = GuardedApi(credentials, None, images, disruption=disruption)
        made.append(api)
        api.post("/api/v1/namespaces", {"metadata": {"name": "ours"}})
        return api

    yield make
    for each in made:
        each.close()


def test_namespaces_of_a_run_are_known_by_a_label(guarded: Make, made_up: MadeUpCluster) -> None:
    api = guarded()
    assert made_up.objects["/api/v1/namespaces/ours"]["metadata"]["labels"] == {OWNED: api.run}
    assert owned_namespaces(api) == ["ours"]


def test_what_is_in_a_namespace_of_the_run_may_be_changed(guarded: Make, made_up: MadeUpCluster) -> None:
    api = guarded()
    api.post("/api/v1/namespaces/ours/pods", POD)
    api.patch("/api/v1/namespaces/ours/pods/p", {"metadata": {"labels": {"a": "b"}}})
    api.delete("/api/v1/namespaces/ours/pods/p")
    assert [method for method, _ in made_up.asked] == ["POST", "POST", "PATCH", "DELETE"]


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("POST", "/api/v1/namespaces/kube-system/pods", POD, "is outside of the namespaces"),
        ("DELETE", "/api/v1/namespaces/theirs", None, "is outside of the namespaces"),
        ("PATCH", NODE, {"metadata": {"labels": {"a": "b"}}}, "is outside of the namespaces"),
        ("POST", "/api/v1/persistentvolumes", POD, "is outside of the namespaces"),
        (
            "POST", "/api/v1/namespaces/ours/pods",
            {**POD, "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}, "uses hostPath",
        ),
        (
            "POST", "/apis/apps/v1/namespaces/ours/daemonsets",
            {**POD, "spec": {"containers": [{"securityContext": {"privileged": True}}]}},
            "uses privileged containers",
        ),
    ],
)  # fmt: skip
def test_what_reaches_further_is_refused_and_not_sent(
    method: str, path: str, body: object, why: str, guarded: Make, made_up: MadeUpCluster
) -> None:
    api = guarded()
    with pytest.raises(Refused, match=f"{method} {path} {why}.*--allow-disruption"):
        api.request(method, path, body)
    assert made_up.asked == [("POST", "/api/v1/namespaces")]


def test_a_question_that_is_posted_changes_nothing(guarded: Make, made_up: MadeUpCluster) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    guarded().post(path, {"metadata": {"name": ""}})
    assert made_up.asked[-1] == ("POST", path)


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("rollout", "undo", "deployment/web"), None),
        (("delete", "pod", "p", "-n", "theirs"), None),
        (("create", "-f", "-"), {"metadata": {"name": "p", "namespace": "theirs"}}),
        (("create", "-f", "-", "-n", "ours"), {"metadata": {"name": "p", "namespace": "theirs"}}),
    ],
)
def test_kubectl_keeps_to_the_namespaces_of_the_run(
    arguments: tuple[str, ...], stdin: object, guarded: Make
) -> None:
    with pytest.raises(Refused, match=r"kubectl .* is outside"):
        guarded().permit_kubectl(arguments, stdin)


def test_kubectl_may_change_what_is_ours_and_read_anything(guarded: Make) -> None:
    api = guarded()
    api.permit_kubectl(("rollout", "undo", "deployment/web", "-n", "ours"), None)
    api.permit_kubectl(("create", "-f", "-"), {"metadata": {"name": "p", "namespace": "ours"}})
    api.permit_kubectl(("get", "nodes"), None)


def test_images_are_named_as_the_nodes_find_them(guarded: Make, made_up: MadeUpCluster) -> None:
    containers = [
        {"name": "ours", "image": "w", "imagePullPolicy": "Never"},
        {"name": "absent", "image": "x", "imagePullPolicy": "Never"},
    ]
    guarded(w="registry.example/w:1").post(
        "/api/v1/namespaces/ours/pods", {**POD, "spec": {"containers": containers}}
    )
    assert made_up.objects["/api/v1/namespaces/ours/pods/p"]["spec"]["containers"] == [
        {"name": "ours", "image": "registry.example/w:1", "imagePullPolicy": "IfNotPresent"},
        containers[1],
    ]


def test_all_that_was_changed_is_undone(guarded: Make, made_up: MadeUpCluster) -> None:
    made_up.node("n1", taints=[{"key": "theirs", "effect": "PreferNoSchedule"}])
    before = {key: {**value} for key, value in made_up.objects.items()}
    api = guarded(disruption=True)
    api.post("/api/v1/persistentvolumes", {"metadata": {"name": "pv"}})
    api.post("/api/v1/persistentvolumes", {"metadata": {"name": "gone already"}})
    del made_up.objects["/api/v1/persistentvolumes/gone already"]
    api.patch(NODE, {"metadata": {"labels": {"zone": "b", "ours": "x"}}, "spec": {"taints": []}})
    api.patch(NODE, {"spec": {"unschedulable": True}})
    said: list[str] = []
    api.undo(said.append)
    assert made_up.objects == before
    assert said == ["existing: removing 1 namespaces"]


def test_what_cannot_be_undone_is_told(guarded: Make, made_up: MadeUpCluster) -> None:
    api = guarded(disruption=True)
    api.post("/api/v1/persistentvolumes", {"metadata": {"name": "pv"}})
    made_up.refused["/api/v1/persistentvolumes/pv"] = 403
    with pytest.raises(ClusterError, match=r"not everything could be undone: DELETE .*/pv: 403"):
        api.undo(lambda _: None)
    assert "/api/v1/namespaces/ours" not in made_up.objects
