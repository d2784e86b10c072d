"""Made-up observations and histories, with only what a check looks at."""

from __future__ import annotations

from typing import Any

from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import (
    ApiObject,
    ApiRequest,
    ApiResponse,
    Connection,
    Endpoint,
    EtcdKeyValue,
    EtcdOperation,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    Speaker,
    WatchEvent,
)

SERVER = Speaker("kube-apiserver", 1)
KEY = "/registry/pods/ns/p"


def speaker(component: str) -> Speaker:
    """A known process; ``unknown`` has no process id."""
    return Speaker(component, None if component == "unknown" else 7)


def place(frame: int, sender: Speaker, receiver: Speaker, last: int = 0) -> dict[str, Any]:
    return {
        "first_frame": frame,
        "last_frame": last or frame,
        "started_ns": frame,
        "time_ns": last or frame,
        "connection": 1,
        "stream": 1,
        "sender": sender,
        "receiver": receiver,
    }


def pod(node: str = "", uid: str = "u", **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ns", "name": "p", "uid": uid, "resourceVersion": "5"},
        "spec": {"nodeName": node} if node else {},
        **fields,
    }


def request(frame: int, by: str = "kubectl", *, last: int = 0, **fields: Any) -> ApiRequest:
    """A POST of the pod ns/p, unless fields say otherwise."""
    wanted: dict[str, Any] = {
        "method": "POST",
        "path": "/",
        "query": {},
        "headers": {},
        "verb": "create",
        "version": "v1",
        "resource": "pods",
        "namespace": "ns",
        "name": "p",
        "content_type": "application/json",
    }
    return ApiRequest(**place(frame, speaker(by), SERVER, last), **(wanted | fields))


def response(frame: int, to: ApiRequest, body: ApiObject | None = None) -> ApiResponse:
    return ApiResponse(**place(frame, to.receiver, to.sender), request=to, status=201, body=body)


def event(frame: int, to: str, obj: ApiObject, kind: str = "ADDED", resource: str = "pods") -> WatchEvent:
    watch = request(1, to, method="GET", verb="watch", resource=resource, name="")
    seen = place(frame, SERVER, speaker(to))
    return WatchEvent(**seen, request=watch, type=kind, object=obj, position=1)


def txn(frame: int, value: ApiObject, *, succeeded: bool = True, revision: int = 5) -> EtcdResponse:
    """The answer to a Txn that puts ``value`` at KEY."""
    etcd = speaker("etcd")
    put = EtcdOperation(op="put", key=KEY, value=value)
    asked = EtcdRequest(**place(frame - 1, SERVER, etcd), method="/etcdserverpb.KV/Txn", operations=(put,))
    return EtcdResponse(**place(frame, etcd, SERVER), request=asked, revision=revision, succeeded=succeeded)


def etcd_event(frame: int, value: ApiObject, kind: str = "PUT", revision: int = 5) -> EtcdWatchEvent:
    kv = EtcdKeyValue(key=KEY, create_revision=5, mod_revision=revision, version=1, object=value)
    seen = place(frame, speaker("etcd"), SERVER)
    return EtcdWatchEvent(**seen, watch_id=1, revision=revision, type=kind, kv=kv)


def connection(client: str, *, port: int = 2379, number: int = 1, server: str = "etcd") -> Connection:
    return Connection(
        number=number,
        client=Endpoint("127.0.0.1", 40000 + number),
        server=Endpoint("127.0.0.1", port),
        client_process=speaker(client),
        server_process=speaker(server),
        first_frame=1,
        last_frame=9,
        opened_ns=0,
        protocol="h2",
        syn_seen=True,
        complete=True,
    )


def history(
    *observations: Observation, connections: tuple[Connection, ...] = (), missing: tuple[str, ...] = ()
) -> History:
    ordered = sorted(observations, key=lambda each: each.last_frame)
    return History(tuple(ordered), connections, CaptureStatistics(9, 0, ("lo",)), missing)
