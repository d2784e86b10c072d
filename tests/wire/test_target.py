from __future__ import annotations

import pytest

from kubewitness.wire.target import Target, target


def summary(found: Target) -> tuple[str, str, str, str, str, str, str]:
    return (
        found.verb,
        found.group,
        found.version,
        found.resource,
        found.subresource,
        found.namespace,
        found.name,
    )


@pytest.mark.parametrize(
    ("method", "uri", "expected"),
    [
        ("POST", "/api/v1/namespaces/ns/pods", ("create", "", "v1", "pods", "", "ns", "")),
        ("POST", "/api/v1/namespaces/ns/pods/p/binding", ("create", "", "v1", "pods", "binding", "ns", "p")),
        ("PATCH", "/api/v1/namespaces/ns/pods/p/status", ("patch", "", "v1", "pods", "status", "ns", "p")),
        ("GET", "/api/v1/pods?limit=500", ("list", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/pods?watch=true", ("watch", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/pods?watch=0", ("list", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/pods?watch=1&watch=false", ("list", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/watch/pods", ("watch", "", "v1", "pods", "", "", "")),
        (
            "GET",
            "/api/v1/nodes?fieldSelector=metadata.name%3Dn1&watch=true",
            ("watch", "", "v1", "nodes", "", "", "n1"),
        ),
        ("GET", "/api/v1/namespaces", ("list", "", "v1", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/ns", ("get", "", "v1", "namespaces", "", "ns", "ns")),
        ("PUT", "/api/v1/namespaces/ns/finalize", ("update", "", "v1", "namespaces", "finalize", "ns", "ns")),
        ("GET", "/api/v1/nodes/n1", ("get", "", "v1", "nodes", "", "", "n1")),
        ("HEAD", "/api/v1/nodes/n1", ("get", "", "v1", "nodes", "", "", "n1")),
        ("DELETE", "/api/v1/nodes/n1", ("delete", "", "v1", "nodes", "", "", "n1")),
        ("DELETE", "/api/v1/namespaces/ns/pods", ("deletecollection", "", "v1", "pods", "", "ns", "")),
        (
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1",
            ("update", "coordination.k8s.io", "v1", "leases", "", "kube-node-lease", "n1"),
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/ns/deployments/d/scale",
            ("get", "apps", "v1", "deployments", "scale", "ns", "d"),
        ),
        ("GET", "http://127.0.0.1:8080/api/v1/nodes", ("list", "", "v1", "nodes", "", "", "")),
        ("GET", "/healthz", ("get", "", "", "", "", "", "")),
        ("GET", "/api/v1", ("get", "", "", "", "", "", "")),
        ("GET", "/apis/apps/v1", ("get", "", "", "", "", "", "")),
        ("OPTIONS", "/version", ("options", "", "", "", "", "", "")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_is_about(method: str, uri: str, expected: tuple[str, ...]) -> None:
    assert summary(target(method, uri)) == expected


def test_path_and_query_are_unescaped_and_the_last_value_wins() -> None:
    found = target("GET", "/api/v1/nodes/a%2Db?x=1&x=2&empty=&s=a%20b+c")
    assert found.path == "/api/v1/nodes/a-b"
    assert found.query == {"x": "2", "empty": "", "s": "a b c"}
