"""One line for each API call, watch event and call to etcd, for people and for programs.

The lines of one object are joined by what it carries everywhere: its uid, and
its resourceVersion, which is the revision that etcd gave its last change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kubewitness.model.objects import about, identity, is_table, members
from kubewitness.model.observation import (
    ApiObject,
    ApiRequest,
    ApiResponse,
    Connection,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    Undecoded,
    WatchEvent,
)
from kubewitness.wire.etcd import STREAMED
from kubewitness.wire.witness import claimant

#: What etcdctl tells in hexadecimal.
_IDS = ("ID", "memberID", "targetID", "leader")
_PREFIX = "/registry/"
#: Keys that do not say what they hold in the API's own words.
_RESOURCES = {"services/specs": "services", "services/endpoints": "endpoints"}


@dataclass(frozen=True, slots=True)
class Line:
    """``object`` is (resource, namespace, name) where the line is about one; ``details`` go to JSON only."""

    seen: Observation
    kind: str  # call | event | etcd | etcd-event | undecoded
    who: str
    what: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    revision: str = ""
    regards: str = ""  # of an Event, the uid of what it is about
    details: Mapping[str, Any] = field(default_factory=dict)

    def text(self, since_ns: int | None = None) -> str:
        """``since_ns``: tell the time from then on instead of that of the day (UTC)."""
        if since_ns is None:
            time = datetime.fromtimestamp(self.seen.time_ns // 1_000_000_000, UTC).strftime("%H:%M:%S")
            time += f".{self.seen.time_ns // 1000 % 1_000_000:06}"
        else:
            time = f"{(self.seen.time_ns - since_ns) / 1e6:+.3f} ms"
        joined = f"  uid {self.uid[:8]}" if self.uid else ""
        joined += f"  rv {self.revision}" if self.revision else ""
        return f"{self.seen.last_frame:>8} {time:>15}  {self.who:<40} {self.what}{joined}"

    def json(self) -> dict[str, Any]:
        told = {
            "frame": self.seen.last_frame,
            "time_ns": self.seen.time_ns,
            "connection": self.seen.connection,
            "stream": self.seen.stream,
            "kind": self.kind,
            "who": self.who,
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "revision": self.revision,
            "regards": self.regards,
        }
        return {key: value for key, value in (told | dict(self.details)).items() if value not in ("", None)}


class Teller:
    """``connection_of`` gives the connection of a number, for those whose messages do not say who speaks."""

    def __init__(self, connection_of: Callable[[int], Connection]) -> None:
        self._connection_of = connection_of
        self._open: dict[tuple[int, int], tuple[ApiRequest | EtcdRequest, str]] = {}  # and who asks

    def tell(self, seen: Observation) -> Line | None:
        """A call is told when it is answered, hence nothing of a request yet."""
        match seen:
            case ApiRequest() | EtcdRequest():
                self._open[seen.connection, seen.stream] = seen, self._client(seen)
                return None
            case ApiResponse():
                return self._answered(seen, self._asker(seen, seen.request))
            case EtcdResponse():
                return self._etcd(seen.request, seen, self._asker(seen, seen.request))
            case WatchEvent():
                return self._event(seen)
            case EtcdWatchEvent():
                return self._etcd_event(seen)
            case Undecoded():
                return Line(seen, "undecoded", "?", seen.why, details={"why": seen.why})
        return None

    def unanswered(self) -> Iterator[Line]:
        """The calls that have no answer so far. Streams of etcd's have none of their own."""
        for request, who in self._open.values():
            if isinstance(request, ApiRequest):
                yield self._call(request, request, who, "no answer")
            elif request.method not in STREAMED:
                yield self._etcd(request, None, who)

    def _asker(self, answer: Observation, request: ApiRequest | EtcdRequest) -> str:
        _, who = self._open.pop((answer.connection, answer.stream), (request, ""))
        return who

    def _answered(self, seen: ApiResponse, who: str) -> Line:
        request = seen.request
        took = seen.time_ns - request.time_ns
        if request.verb == "watch" and seen.status == 200:
            return self._call(seen, request, who, "200, open", status=200)
        outcome = f"{seen.status}{_reason(seen)}  {took / 1e6:.1f} ms"
        return self._call(seen, request, who, outcome, seen.body, status=seen.status, duration_ns=took)

    def _call(
        self,
        seen: ApiRequest | ApiResponse,
        request: ApiRequest,
        who: str,
        outcome: str,
        found: ApiObject | None = None,
        **more: Any,
    ) -> Line:
        # A row of a list is one of several, though it may be the only one.
        told = found if request.verb in ("list", "deletecollection") else about(found)
        its = identity(told)
        name = request.name or its.name
        resource = _resource(request)
        where = f"{resource} {_place(request.namespace, name)}".strip() if resource else request.path
        what = f"{request.verb} {where}{_extras(request)} -> {outcome}{_items(found)}"
        details = {
            "verb": request.verb, "subresource": request.subresource, "path": request.path,
            "query": dict(request.query) or "", "request_frame": request.last_frame,
            "patch": request.patch, "trailers": dict(seen.trailers) or "",
            "audit_id": seen.audit_id if isinstance(seen, ApiResponse) else None,
            "claimed_by": request.sender.claimed_by, **more,
        }  # fmt: skip
        return Line(
            seen, "call", who, what, request.resource, request.namespace, name, its.uid, its.resource_version,
            _regards(told or request.body), details,
        )  # fmt: skip

    def _event(self, seen: WatchEvent) -> Line:
        request, told = seen.request, about(seen.object) or {}
        its = identity(told)
        place = _place(its.namespace, its.name)
        what = f"{seen.type} {_resource(request)} {place}{_state(told)}"
        if seen.ends_list:
            what += "(end of the list)"
        if seen.type == "ERROR":
            what = f"ERROR {_resource(request)}: {told.get('code')} {told.get('message')}"
        details = {
            "type": seen.type, "watch": request.path, "position": seen.position,
            "ends_list": seen.ends_list or None, "claimed_by": request.sender.claimed_by,
        }  # fmt: skip
        who = f"to {self._client(request)}"
        return Line(
            seen, "event", who, what, request.resource, its.namespace, its.name,
            its.uid, its.resource_version, _regards(told), details,
        )  # fmt: skip

    def _etcd(self, request: EtcdRequest, answer: EtcdResponse | None, who: str) -> Line:
        method = request.method.rpartition("/")[2]
        keys = [*request.operations, *request.otherwise]
        key = keys[0].key if keys else ""
        resource, namespace, name = registered(key)
        put = next((each.value for each in request.operations if each.value), None)
        asked = _told(request) or f"{method}{_named(request.arguments)}"
        what = f"{asked} -> {_outcome(request, answer) if answer else 'no answer'}"
        wrote = answer is not None and answer.succeeded is not False and _writes(request)
        details = {
            "method": method, "key": key, "succeeded": answer.succeeded if answer else None,
            "request_frame": request.last_frame, "arguments": dict(request.arguments) or "",
            "results": dict(answer.results) or "" if answer else "",
            "encrypted": _encryptions(request, answer),
        }  # fmt: skip
        return Line(
            answer or request, "etcd", who, what, resource, namespace, name,
            identity(put).uid, str(answer.revision) if answer and wrote else "", _regards(put), details,
        )  # fmt: skip

    def _etcd_event(self, seen: EtcdWatchEvent) -> Line:
        resource, namespace, name = registered(seen.kv.key)
        secret = str(seen.kv.encrypted or "")
        what = f"{seen.type} {seen.kv.key}{_state(seen.kv.object or {})}"
        what += f" (encrypted: {secret})" if secret else ""
        details = {"type": seen.type, "key": seen.kv.key, "watch_id": seen.watch_id, "encrypted": secret}
        who = seen.receiver.component if seen.receiver.known else self._by_connection(seen)
        return Line(
            seen, "etcd-event", f"to {who}", what, resource, namespace, name,
            identity(seen.kv.object).uid, str(seen.kv.mod_revision), _regards(seen.kv.object), details,
        )  # fmt: skip

    def _client(self, request: ApiRequest | EtcdRequest) -> str:
        """Its process, if that is known, else who it says it is, else its address."""
        if request.sender.known:
            return request.sender.component
        agent = request.headers.get("user-agent", "") if isinstance(request, ApiRequest) else ""
        # A user agent names the program, of which a certificate tells only the user.
        return claimant("", agent).claimed or request.sender.claimed or self._by_connection(request)

    def _by_connection(self, seen: Observation) -> str:
        connection = self._connection_of(seen.connection)
        return connection.client_process.claimed or str(connection.client)


def registered(key: str) -> tuple[str, str, str]:
    """Resource, namespace and name of a key of etcd's, such as /registry/pods/default/nginx.

    Which of them a shorter key has, and where a group stands before the
    resource, the key alone does not tell: all but the last two are the resource.
    """
    parts = key.removeprefix(_PREFIX).split("/") if key.startswith(_PREFIX) else []
    if len(parts) < 2:
        return "", "", ""
    if len(parts) == 2:
        return parts[0], "", parts[1]
    resource, (namespace, name) = "/".join(parts[:-2]), parts[-2:]
    return _RESOURCES.get(resource, resource), namespace, name


def _resource(request: ApiRequest) -> str:
    group = f".{request.group}" if request.group else ""
    below = f"/{request.subresource}" if request.subresource else ""
    return f"{request.resource}{group}{below}" if request.resource else ""


def _place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _extras(request: ApiRequest) -> str:
    """What a request says besides what it is about."""
    told = [
        f"{key}={request.query[key]}" for key in ("fieldSelector", "labelSelector") if request.query.get(key)
    ]
    if request.verb == "patch":
        told.append(request.patch or request.content_type)
    if request.subresource == "binding" and request.body:
        target = request.body.get("target")
        told.append(f"to {target.get('name')}" if isinstance(target, dict) else "")
    return "".join(f" ({each})" for each in told if each)


def _reason(seen: ApiResponse) -> str:
    if seen.status < 400 or not seen.body:
        return ""
    return f" {seen.body.get('reason') or ''}".rstrip()


def _items(found: ApiObject | None) -> str:
    if is_table(found):
        return f", {len(members(found))} rows"
    items = found.get("items") if found else None
    return f", {len(items)} items" if isinstance(items, list) else ""


def _regards(found: ApiObject | None) -> str:
    about = (found.get("involvedObject") or found.get("regarding")) if found else None
    return str(about.get("uid") or "") if isinstance(about, Mapping) else ""


def _state(found: ApiObject) -> str:
    """Where a pod is in its life."""
    its = identity(found)
    there = " ".join(each for each in (f"on {its.node}" if its.node else "", its.phase) if each)
    told = ", ".join(each for each in (there, "being deleted" if its.being_deleted else "") if each)
    return f" ({told})" if told else ""


def _told(request: EtcdRequest) -> str:
    done = ", ".join(
        f"{each.op} {each.key}{'..' if each.range_end else ''}"
        f"{f' (encrypted: {each.encrypted})' if each.encrypted else ''}"
        for each in request.operations
    )
    guards = ", ".join(f"{each.target} {each.result} {each.value}" for each in request.compares)
    return f"{done} if {guards}" if guards else done


def _named(values: Mapping[str, Any]) -> str:
    """What a call to Lease, Cluster or Maintenance says, or is told."""
    return "".join(f" {name}={_short(name, value)}" for name, value in values.items())


def _short(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(name, each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + _named(value).strip() + "}"
    return f"{value:x}" if name in _IDS else str(value)


def _encryptions(request: EtcdRequest, answer: EtcdResponse | None) -> str:
    """How the values are encrypted that a call puts or gets."""
    put = {str(each.encrypted) for each in request.operations if each.encrypted}
    got = {str(each.encrypted) for each in (answer.keys if answer else ()) if each.encrypted}
    return ", ".join(sorted(put | got))


def _writes(request: EtcdRequest) -> bool:
    return any(each.op in ("put", "delete") for each in request.operations)


def _outcome(request: EtcdRequest, answer: EtcdResponse) -> str:
    """What came of a call: a Txn may do its other part, which reads what stood in its way."""
    told = [{True: "done", False: "refused", None: ""}[answer.succeeded]]
    done = request.otherwise if answer.succeeded is False else request.operations
    if any(each.op == "range" for each in done):
        found = answer.keys
        told.append(f"revision {found[0].mod_revision}" if len(found) == 1 else f"{len(found)} keys")
        secret = next((each.encrypted for each in found if each.encrypted), None)
        told.append(f"(encrypted: {secret})" if secret else "")
    told.append(_named(answer.results).strip())
    if answer.grpc_status:
        told.append(f"gRPC status {answer.grpc_status}")
    told.append(f" {(answer.time_ns - request.time_ns) / 1e6:.1f} ms")
    return " ".join(each for each in told if each)
