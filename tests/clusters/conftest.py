"""An API server that holds objects by their paths and does nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kubewitness.clusters.configuration import kubeconfig


class MadeUpCluster(ThreadingHTTPServer):
    """``objects`` are kept by their paths; ``asked`` has the methods and paths of all that came but GET."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.refused: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def node(self, name: str, **spec: Any) -> None:
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.objects[f"/api/v1/nodes/{name}"] = {
            "metadata": {"name": name, "labels": {"zone": "a"}},
            "spec": spec,
            "status": status,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MadeUpCluster

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path, query = address.path, {key: value[0] for key, value in parse_qs(address.query).items()}
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(sent) if sent else {}
        objects = self.server.objects
        if self.command != "GET":
            self.server.asked.append((self.command, path))
        if status := self.server.refused.get(path):
            self._send(status, {"message": "it is forbidden"})
        elif self.command == "POST":
            objects[f"{path}/{body['metadata']['name']}"] = body
            self._send(201, body)
        elif path in objects:
            if self.command == "DELETE":
                for each in [each for each in objects if each == path or each.startswith(f"{path}/")]:
                    del objects[each]
            elif self.command == "PATCH":
                _merge(objects[path], body)
            self._send(200, objects.get(path, {}))
        elif self.command == "GET":
            self._send(200, {"metadata": {"resourceVersion": "1"}, "items": self._listed(path, query)})
        else:
            self._send(404, {"message": "not found"})

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - their names in the library

    def _listed(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        found = [
            value
            for key, value in self.server.objects.items()
            if key.startswith(f"{path}/") and "/" not in key[len(path) + 1 :]
        ]
        if name := query.get("fieldSelector", "").removeprefix("metadata.name="):
            found = [each for each in found if each["metadata"]["name"] == name]
        if label := query.get("labelSelector"):
            found = [each for each in found if label in each["metadata"].get("labels", {})]
        return found

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Tests are silent."""


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


@pytest.fixture
def made_up() -> Iterator[MadeUpCluster]:
    with MadeUpCluster() as made:
        made.objects["/version"] = {"gitVersion": "v1.36.4-eks-1"}
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def credentials(made_up: MadeUpCluster, tmp_path: Path) -> Path:
    """A kubeconfig for it."""
    return kubeconfig(tmp_path / "kubeconfig", made_up.address)
