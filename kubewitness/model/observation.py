"""What the wire showed, message by message.

Every observation carries the packet numbers (``frame``, counted from 1 in the
capture) of the first and the last byte that it was decoded from. All packets
of one capture come from one kernel queue, so frame numbers are a total order:
``a.last_frame < b.first_frame`` means that *a* was complete before *b* began.
Times are nanoseconds since the Unix epoch, stamped by the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

Uid = NewType("Uid", str)
ResourceVersion = NewType("ResourceVersion", str)
#: A Kubernetes API object in the form that its JSON has, whatever it was on the wire.
ApiObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One end of a TCP connection."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class Speaker:
    """The process behind one end of a connection, found by its socket.

    ``component`` is the name that the cluster gave the process
    (``kube-scheduler``, ``kubelet/node1``, ``relay``, ``kubectl``…), or
    ``unknown`` when no socket could be matched; then ``pid`` is None.

    ``claimed`` is who a client of no known process says it is, by its
    certificate or else its user agent, as ``claimed_by`` tells. Nobody has
    checked a user agent, so a claim is for people who read, and no verdict
    rests on it: neither ``known`` nor ``component`` nor ``role`` heed it.
    """

    component: str
    pid: int | None = None
    claimed: str = ""
    claimed_by: str = ""  # certificate | user agent

    @property
    def known(self) -> bool:
        return self.pid is not None

    @property
    def role(self) -> str:
        """The component without its instance: ``kubelet`` for ``kubelet/node1``."""
        return self.component.split("/", 1)[0]

    def __str__(self) -> str:
        return (
            f"{self.component} (by its {self.claimed_by} {self.claimed})" if self.claimed else self.component
        )


UNKNOWN = Speaker("unknown")


@dataclass(frozen=True, slots=True)
class Tls:
    """What could be read of a TLS connection.

    Of TLS 1.3 without its secrets that is ``version``, ``cipher``,
    ``server_name`` and ``resumed``. Certificates are told by their subjects
    (RFC 4514). ``inside`` is the protocol that was spoken under it, once its
    secrets opened it; else ``why_closed`` says why they did not.
    """

    version: str = ""
    cipher: str = ""
    server_name: str = ""
    alpn: str = ""
    client_certificate: str = ""
    server_certificate: str = ""
    resumed: bool = False
    inside: str = ""
    why_closed: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection. ``protocol`` is what its bytes turned out to be.

    ``upgraded_to`` is what an answer of 101 let the ends speak from then on,
    such as ``SPDY/3.1`` or ``websocket``. ``complete`` is False when bytes are missing (lost packets or a
    connection joined mid-stream): nothing may be concluded from absence on it.
    """

    number: int
    client: Endpoint
    server: Endpoint
    client_process: Speaker
    server_process: Speaker
    first_frame: int
    last_frame: int
    opened_ns: int
    protocol: str  # http/1.1 | h2 | tls | unknown | empty
    syn_seen: bool
    complete: bool
    why_incomplete: str = ""
    tls: Tls | None = None
    upgraded_to: str = ""
    bytes_to_server: int = 0
    bytes_to_client: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One decoded message."""

    first_frame: int
    last_frame: int
    started_ns: int
    time_ns: int  # of the last frame: when the message was complete
    connection: int
    stream: int  # HTTP/2 stream id, or the exchange's index on an HTTP/1.1 connection (from 1)
    sender: Speaker
    receiver: Speaker


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(Observation):
    """A request to the API server.

    For ``POST /api/v1/namespaces/ns/pods/p/binding``: group ``""``, version
    ``v1``, resource ``pods``, subresource ``binding``, namespace ``ns``, name
    ``p``. For a create, ``name`` is taken from the body. ``verb`` is the
    Kubernetes request verb: get, list, watch, create, update, patch, delete,
    deletecollection; for paths that are no resource it is the lower-case
    method. ``body`` is read from JSON, YAML, CBOR and protobuf; a JSON patch
    is no object but ``operations``. ``trailers`` are headers behind the body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    content_type: str = ""
    body: ApiObject | None = None
    body_bytes: int = 0
    body_sha256: str = ""
    operations: tuple[ApiObject, ...] = ()
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def patch(self) -> str:
        """How a patch changes an object: strategic, merge, json or apply; "" if this is none of them."""
        return _PATCHES.get(self.content_type.partition(";")[0].strip().lower(), "")


_PATCHES = {
    "application/strategic-merge-patch+json": "strategic",
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "apply",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse(Observation):
    """The API server's answer. ``request`` is the request it answers.

    That to a watch is told with its head, so it has neither a body nor trailers.
    """

    request: ApiRequest
    status: int
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: ApiObject | None = None
    body_bytes: int = 0
    body_sha256: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def audit_id(self) -> str:
        """By what the API server's audit log knows the request."""
        return self.headers.get("audit-id", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent(Observation):
    """One event of an open API watch, as soon as its last byte was seen.

    ``type`` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR. To a watch that
    asked for a Table ``object`` is that; see ``model.objects.about``.
    """

    request: ApiRequest
    type: str
    object: ApiObject
    position: int  # the event's index in its watch, from 1

    @property
    def ends_list(self) -> bool:
        """Whether this bookmark says that a streaming list has told all that there was."""
        metadata = self.object.get("metadata") if self.type == "BOOKMARK" else None
        annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
        return isinstance(annotations, Mapping) and annotations.get("k8s.io/initial-events-end") == "true"


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an API server encrypted a stored value: provider (aescbc, aesgcm, secretbox, kms), version, key.

    ``key`` is the name that the configuration gives the key, or for ``kms`` the plugin.
    """

    provider: str
    version: str
    key: str

    def __str__(self) -> str:
        return f"{self.provider} {self.version} with {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOperation:
    """One operation inside an etcd request: range, put, delete or watch."""

    op: str
    key: str
    range_end: str = ""
    value: ApiObject | None = None
    value_bytes: int = 0
    encrypted: Encryption | None = None  # then there is no ``value``


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdCompare:
    """One guard of a Txn: ``target`` (mod, create, version, lease, value) ``result`` (=, >, <, !=)."""

    key: str
    target: str
    result: str
    value: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdRequest(Observation):
    """A call to etcd. ``method`` is the gRPC path, such as ``/etcdserverpb.KV/Txn``.

    ``arguments`` are what else it says, for calls to Lease, Cluster and
    Maintenance all of it, named as in etcd's rpc.proto: {"TTL": 60, "ID": 7}.
    """

    method: str
    compares: tuple[EtcdCompare, ...] = ()
    operations: tuple[EtcdOperation, ...] = ()  # of a Txn: the success branch
    otherwise: tuple[EtcdOperation, ...] = ()  # of a Txn: the failure branch
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdKeyValue:
    """A stored key. ``object`` is the Kubernetes object in its value, where there is one."""

    key: str
    create_revision: int
    mod_revision: int
    version: int
    object: ApiObject | None = None
    value_bytes: int = 0
    lease: int = 0
    encrypted: Encryption | None = None  # then there is no ``object``


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdResponse(Observation):
    """etcd's answer to a call: to each message that keeps a lease alive, and to a watch once it is cancelled.

    ``revision`` is the store's revision in the response header; for a Txn that
    ``succeeded`` and put something it is the mod_revision of what it put.
    ``results`` are what else it says, as in EtcdRequest's ``arguments``; of a
    snapshot they are the number of its ``bytes``.
    """

    request: EtcdRequest
    revision: int
    succeeded: bool | None = None
    keys: tuple[EtcdKeyValue, ...] = ()
    grpc_status: int | None = None
    results: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdWatchEvent(Observation):
    """One event delivered on an etcd watch. ``type`` is PUT or DELETE."""

    watch_id: int
    revision: int
    type: str
    kv: EtcdKeyValue
    previous: EtcdKeyValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecoded(Observation):
    """Bytes that should have been a message and were not, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch that the suite itself kept open.

    ``position`` (from 1) is the order in which the suite got the events of all
    its watches; those of one collection are in the API server's own order.
    ``type`` is LISTED for what was there when the watch began, else ADDED,
    MODIFIED or DELETED.
    """

    position: int
    time_ns: int
    collection: str  # the path that was watched, such as /api/v1/namespaces/NS/pods
    type: str
    object: ApiObject
