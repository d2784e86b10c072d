"""Waiting lists, then watches; it ends with a state, a deadline or a hopeless state."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kubewitness.clusters.api import Api, ApiError, Object, Waited, collection_of, pods
from kubewitness.clusters.configuration import kubeconfig

PODS = pods("ns")
CHANGES = (("ADDED", "Pending"), ("MODIFIED", "Running"))


def pod(phase: str) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "node1"}, "status": {"phase": phase}}


def listed(*items: Object, version: str = "5") -> Object:
    return {"metadata": {"resourceVersion": version}, "items": list(items)}


def running(found: Object | None) -> bool:
    return bool(found) and found is not None and found["status"]["phase"] == "Running"


class Server(ThreadingHTTPServer):
    """Answers each request with the next of ``lists`` or ``watches``; remembers their queries.

    The last watch stays open until the server ends.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lists: list[Object] = []
        self.watches: list[list[Object]] = []
        self.queries: list[dict[str, str]] = []
        self.over = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        self.server.queries.append(query)
        if "watch" not in query and not self.server.lists:
            self.send_error(403, "go away")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        watching = "watch" in query
        for content in self.server.watches.pop(0) if watching else [self.server.lists.pop(0)]:
            line = json.dumps(content).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        if watching and not self.server.watches:
            self.server.over.wait()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Tests are silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.over.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Iterator[Api]:
    file = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_port}")
    with closing(Api(file)) as made:
        yield made


def test_a_state_that_is_there_needs_no_watch(api: Api, server: Server) -> None:
    server.lists = [listed(pod("Running"))]
    assert api.wait(PODS, "p", running, within_s=5, what="p to run") == pod("Running")
    assert server.queries == [{"fieldSelector": "metadata.name=p"}]


def test_a_state_that_comes_is_seen_on_a_watch_from_the_list_on(api: Api, server: Server) -> None:
    server.lists = [listed(version="41")]
    server.watches = [[{"type": kind, "object": pod(phase)} for kind, phase in CHANGES]]
    assert api.wait(PODS, "p", running, within_s=5, what="p to run", fields="a=b") == pod("Running")
    assert server.queries[1].items() >= {"resourceVersion": "41", "fieldSelector": "a=b"}.items()


def test_an_object_that_is_gone_is_none(api: Api, server: Server) -> None:
    server.lists, server.watches = [listed(pod("Running"))], [[{"type": "DELETED", "object": pod("Running")}]]
    assert api.wait(PODS, "p", lambda found: found is None, within_s=5, what="p to be gone") is None


def test_a_deadline_names_the_last_state(api: Api, server: Server) -> None:
    server.lists, server.watches = [listed()], [[{"type": "ADDED", "object": pod("Pending")}]]
    with pytest.raises(Waited) as raised:
        api.wait(PODS, "p", running, within_s=0.3, what="p to run")
    wanted = 'waited 0.3 s for p to run; last seen: {"phase": "Pending", "node": "node1"}'
    assert str(raised.value) == wanted


def test_a_deadline_names_an_object_that_never_was(api: Api, server: Server) -> None:
    server.lists, server.watches = [listed()], [[]]
    with pytest.raises(Waited, match="last seen: nothing of that name"):
        api.wait(PODS, "p", running, within_s=0.3, what="p to run")


def test_a_compacted_version_is_listed_again(api: Api, server: Server) -> None:
    server.lists = [listed(version="1"), listed(version="7")]
    gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}
    server.watches = [[gone], [{"type": "ADDED", "object": pod("Running")}]]
    assert api.wait(PODS, "p", running, within_s=5, what="p to run") == pod("Running")
    assert [query.get("resourceVersion") for query in server.queries] == [None, "1", None, "7"]


def test_a_hopeless_state_ends_the_wait_at_once(api: Api, server: Server) -> None:
    server.lists, server.watches = [listed()], [[{"type": "ADDED", "object": pod("Failed")}]]
    with pytest.raises(Waited, match=r'p to run cannot be any more: \{"phase": "Failed"'):
        api.wait(
            PODS, "p", running, within_s=30, what="p to run",
            hopeless=lambda found: found is not None and found["status"]["phase"] == "Failed",
        )  # fmt: skip


def test_a_refusal_says_what_was_asked(api: Api) -> None:
    with pytest.raises(ApiError, match="GET /api/v1/namespaces/ns/pods: 403") as raised:
        api.wait(PODS, "p", running, within_s=5, what="p to run")
    assert raised.value.status == 403


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        ("v1", "Pod", "/api/v1/namespaces/ns/pods"),
        ("v1", "Endpoints", "/api/v1/namespaces/ns/endpoints"),
        ("apps/v1", "DaemonSet", "/apis/apps/v1/namespaces/ns/daemonsets"),
    ],
)
def test_a_manifest_tells_where_objects_like_it_are(version: str, kind: str, path: str) -> None:
    assert collection_of({"apiVersion": version, "kind": kind}, "ns").path == path
