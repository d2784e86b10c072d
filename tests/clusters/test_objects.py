"""Evidence holds every object but the values of secrets."""

from __future__ import annotations

from typing import Any, cast

from kubewitness.clusters import objects
from kubewitness.clusters.api import Api


def resource(name: str, *verbs: str) -> dict[str, Any]:
    return {"name": name, "verbs": list(verbs)}


ANSWERS: dict[str, dict[str, Any]] = {
    "/apis": {
        "groups": [
            {"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}},
            {"name": "events.k8s.io", "preferredVersion": {"groupVersion": "events.k8s.io/v1"}},
        ]
    },
    "/api/v1": {
        "resources": [
            resource("secrets", "get", "list"),
            resource("pods", "list"),
            resource("pods/status", "get"),
            resource("bindings", "create"),
        ]
    },
    "/apis/apps/v1": {"resources": [resource("deployments", "list")]},
    "/api/v1/secrets": {"items": [{"metadata": {"name": "s"}, "data": {"key": "aGlkZGVu"}}]},
    "/api/v1/pods": {"items": [{"metadata": {"name": "p"}}]},
    "/apis/apps/v1/deployments": {"items": None},
}


class Answering:
    def get(self, path: str) -> dict[str, Any]:
        return ANSWERS[path]


def test_every_list_is_kept_and_no_secrets_value() -> None:
    assert objects.snapshot(cast("Api", Answering())) == {
        "/api/v1/secrets": [{"metadata": {"name": "s"}}],
        "/api/v1/pods": [{"metadata": {"name": "p"}}],
        "/apis/apps/v1/deployments": [],
    }
