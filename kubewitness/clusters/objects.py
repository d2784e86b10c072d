"""Every object that a cluster holds, for the evidence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kubewitness.clusters.api import Api, Object

#: Events under the name of their other group.
_TWICE = ("events.k8s.io",)


def snapshot(api: Api, namespaces: Collection[str] | None = None) -> dict[str, list[Object]]:
    """The items of every list that the API server serves, by its path; or of those in namespaces only.

    Secrets come without their values.
    """
    roots = ["/api/v1"] + [
        f"/apis/{group['preferredVersion']['groupVersion']}"
        for group in api.get("/apis")["groups"]
        if group["name"] not in _TWICE
    ]
    paths = [path for root in roots for path in _lists(root, api.get(root), namespaces)]
    return {path: _listed(api, path) for path in paths}


def _lists(root: str, discovered: dict[str, Any], namespaces: Collection[str] | None) -> list[str]:
    lists = [each for each in discovered["resources"] if "list" in each["verbs"] and "/" not in each["name"]]
    if namespaces is None:
        return [f"{root}/{each['name']}" for each in lists]
    within = [each["name"] for each in lists if each["namespaced"]]
    return [f"{root}/namespaces/{namespace}/{name}" for namespace in namespaces for name in within]


def _listed(api: Api, path: str) -> list[Object]:
    items = api.get(path).get("items") or []
    hidden = "data" if path.endswith("/secrets") else None
    return [{key: value for key, value in each.items() if key != hidden} for each in items]
