"""The API server as the suites see it: plain objects over the kubernetes client, and one way to wait."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3.exceptions
from kubernetes import config as kubernetes_config
from kubernetes.client import ApiClient, Configuration

from kubewitness.clusters.errors import ClusterError

_POOLS = re.compile(r"HTTPS?Connection(?:Pool)?\([^)]*\): ")
Object = dict[str, Any]
Condition = Callable[[Object | None], bool]


class ApiError(ClusterError):
    """The API server's refusal: its status code and what it said."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        self.status = status
        message = body
        if body.startswith("{"):
            message = str(json.loads(body).get("message", body))
        super().__init__(f"{method} {path}: {status} {message.strip()[:500]}")


class Unreachable(ClusterError):
    """The API server did not answer, or its answer broke off."""

    def __init__(self, method: str, path: str, host: str, error: Exception) -> None:
        # urllib3 puts its own objects, which say no more, before the reason.
        reason = _POOLS.sub("", str(error.args[-1] if error.args else error))
        super().__init__(f"{method} {path}: the API server at {host} cannot be reached: {reason}")


class Waited(ClusterError):
    """A deadline passed, or a state was reached from which the awaited one cannot be."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection's path, such as ``/api/v1/namespaces/NS/pods``."""

    path: str

    def item(self, name: str) -> str:
        return f"{self.path}/{name}"


def pods(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/pods")


def service_accounts(namespace: str) -> Resource:
    return Resource(f"/api/v1/namespaces/{namespace}/serviceaccounts")


def nodes() -> Resource:
    return Resource("/api/v1/nodes")


def collection_of(manifest: Mapping[str, Any], namespace: str) -> Resource:
    """Where objects like ``manifest`` are; ``namespace`` is "" for kinds that have none."""
    group = manifest["apiVersion"]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    kind = manifest["kind"].lower()
    plural = kind if kind == "endpoints" else kind + ("es" if kind.endswith("s") else "s")
    return Resource(f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}")


class Api:
    """Requests as one user of one cluster. Objects are dictionaries in the form of their JSON."""

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        configuration = Configuration()
        configuration.retries = False
        kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), context=context, client_configuration=configuration,
            persist_config=False,
        )  # fmt: skip
        self._client = ApiClient(configuration)
        self.host = configuration.host

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; raises ApiError for any status but success."""
        with self._reaching(method, path):
            response = self._open(method, path, body, query or {}, content_type, read_timeout_s=30.0)
            data = response.read()
            response.release_conn()
        text = data.decode(errors="replace")
        if not 200 <= response.status < 300:
            raise ApiError(method, path, response.status, text)
        return dict(json.loads(text)) if text.startswith("{") else {"text": text}

    def get(self, path: str) -> Object:
        return self.request("GET", path)

    def post(self, path: str, body: Object) -> Object:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Object) -> Object:
        return self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, path: str, *, grace_s: int | None = None) -> Object:
        return self.request(
            "DELETE", path, None, query={} if grace_s is None else {"gracePeriodSeconds": str(grace_s)}
        )

    def watch(
        self, resource: Resource, resource_version: str, selector: str, until: float
    ) -> Iterator[Object]:
        """Events of what a field selector selects, after a version, until a time (monotonic seconds)."""
        left = until - time.monotonic()
        if left <= 0:
            return
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "fieldSelector": selector,
            "timeoutSeconds": str(int(left) + 1),
        }
        with self._reaching("GET", resource.path):
            response = self._open("GET", resource.path, None, query, "", read_timeout_s=left)
        received = bytearray()
        try:
            if response.status != 200:
                raise ApiError("GET", resource.path, response.status, response.read().decode())
            for chunk in response.stream(1 << 16, decode_content=True):
                received += chunk
                *lines, rest = received.split(b"\n")
                received = bytearray(rest)
                yield from map(json.loads, lines)
        except urllib3.exceptions.ReadTimeoutError:
            return
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable("GET", resource.path, self.host, error) from error
        finally:
            response.close()

    def wait(
        self,
        resource: Resource,
        name: str,
        condition: Condition,
        *,
        within_s: float,
        what: str,
        hopeless: Condition = lambda _: False,
        fields: str = "",
    ) -> Object | None:
        """Follows one object until ``condition`` holds of it (None once it is gone); returns it.

        ``hopeless`` names states that cannot recover, so that waiting ends at
        once. ``fields`` selects it otherwise than by name. The error has the last
        state that was seen.
        """
        selector = fields or f"metadata.name={name}"
        until = time.monotonic() + within_s
        state: Object | None = None
        while time.monotonic() < until:
            listed = self.request("GET", resource.path, query={"fieldSelector": selector})
            state = listed["items"][0] if listed["items"] else None
            version = listed["metadata"]["resourceVersion"]
            if condition(state):
                return state
            for event in self.watch(resource, version, selector, until):
                if event["type"] == "ERROR":
                    break  # a compacted version: list again
                state = None if event["type"] == "DELETED" else event["object"]
                if condition(state):
                    return state
                if hopeless(state):
                    raise Waited(f"{what} cannot be any more: {brief(state)}")
        raise Waited(f"waited {within_s:g} s for {what}; last seen: {brief(state)}")

    def open_watch(self, resource: Resource, version: str) -> urllib3.BaseHTTPResponse:
        """A watch of a whole collection from ``version`` on."""
        query = {"watch": "true", "resourceVersion": version}
        with self._reaching("GET", resource.path):
            response = self._open("GET", resource.path, None, query, "", read_timeout_s=3600.0)
        if response.status != 200:
            raise ApiError("GET", resource.path, response.status, response.read().decode())
        return response

    @contextmanager
    def _reaching(self, method: str, path: str) -> Iterator[None]:
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(method, path, self.host, error) from error

    def _open(
        self, method: str, path: str, body: object, query: Mapping[str, str], kind: str, read_timeout_s: float
    ) -> urllib3.BaseHTTPResponse:
        url = self.host + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": "kubewitness"}
        if body is not None:
            headers["Content-Type"] = kind
        response: urllib3.BaseHTTPResponse = self._client.rest_client.pool_manager.request(
            method,
            url,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(connect=5.0, read=read_timeout_s),
            preload_content=False,
            retries=False,
        )
        return response


def brief(state: Object | None) -> str:
    if state is None:
        return "nothing of that name"
    status = state.get("status", {})
    told = {key: status[key] for key in ("phase", "reason", "message", "conditions") if key in status}
    waiting = [each["state"] for each in status.get("containerStatuses", []) if "state" in each]
    node = state.get("spec", {}).get("nodeName")
    return json.dumps(told | ({"containers": waiting} if waiting else {}) | ({"node": node} if node else {}))
