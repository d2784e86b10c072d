"""Which observations a statement is about, each with words for a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kubewitness.model.history import History
from kubewitness.model.observation import (
    ApiObject,
    ApiRequest,
    ApiResponse,
    EtcdOperation,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    WatchEvent,
)


@dataclass(frozen=True, slots=True)
class Selector:
    """A predicate over observations, and what it looks for in words."""

    words: str
    matches: Callable[[Observation], bool]

    def all(self, history: History) -> list[Observation]:
        return [each for each in history.observations if self.matches(each)]


def metadata(obj: ApiObject | None) -> dict[str, Any]:
    return dict((obj or {}).get("metadata") or {})


def uid_of(obj: ApiObject | None) -> str:
    return str(metadata(obj).get("uid", ""))


def node_of(obj: ApiObject | None) -> str:
    """The node a pod is bound to; empty while it is not."""
    return str(((obj or {}).get("spec") or {}).get("nodeName") or "")


def pod_key(namespace: str, name: str) -> str:
    """Where etcd keeps a pod: /registry is the API server's default prefix."""
    return f"/registry/pods/{namespace}/{name}"


def request(
    method: str, resource: str, namespace: str, name: str, by: str = "", group: str | None = None
) -> Selector:
    """A request on ``pods`` or ``pods/binding`` and the like, optionally only from the role ``by``."""
    wanted, _, subresource = resource.partition("/")

    def matches(seen: Observation) -> bool:
        return (
            isinstance(seen, ApiRequest)
            and (seen.method, seen.resource, seen.subresource) == (method, wanted, subresource)
            and (seen.namespace, seen.name) == (namespace, name)
            and (not by or seen.sender.role == by)
            and (group is None or seen.group == group)
        )

    return Selector(f"{method} {resource} {namespace}/{name}" + (f" from {by}" if by else ""), matches)


def response(to: ApiRequest) -> Selector:
    return Selector(
        f"the answer to packet {to.first_frame}",
        lambda seen: _answers(seen, to),
    )


def _answers(seen: Observation, to: ApiRequest) -> bool:
    # The two may be copies: a speaker found later makes new observations of both.
    return isinstance(seen, ApiResponse) and (seen.connection, seen.stream, seen.request.first_frame) == (
        to.connection, to.stream, to.first_frame,
    )  # fmt: skip


def delivery(
    uid: str,
    *,
    kind: str = "",
    to: str = "",
    where: Callable[[ApiObject], bool] = lambda _: True,
    that: str = "",
) -> Selector:
    """A watch event about the object with ``uid``, delivered to the role ``to``."""

    def matches(seen: Observation) -> bool:
        return (
            isinstance(seen, WatchEvent)
            and uid_of(seen.object) == uid
            and (not kind or seen.type == kind)
            and (not to or seen.receiver.role == to)
            and where(seen.object)
        )

    words = f"{kind or 'a watch event'} for uid {uid}{' to ' + to if to else ''}{' ' + that if that else ''}"
    return Selector(words, matches)


def stored(key: str, where: Callable[[ApiObject], bool] = lambda _: True, that: str = "") -> Selector:
    """Etcd's answer to a successful Txn that put ``key``."""

    def matches(seen: Observation) -> bool:
        return (
            isinstance(seen, EtcdResponse)
            and seen.succeeded is True
            and any(each.value is not None and where(each.value) for each in puts(seen.request, key))
        )

    return Selector(f"etcd's answer to the Txn that puts {key}{' ' + that if that else ''}", matches)


def known_stored(key: str, where: Callable[[ApiObject], bool], that: str) -> Selector:
    """The first sign on the wire that etcd has stored ``key``: its answer to the Txn, or a watch event of it.

    Two streams carry these, and either may be the first to arrive.
    """
    answered = stored(key, where)

    def matches(seen: Observation) -> bool:
        if isinstance(seen, EtcdWatchEvent) and (seen.type, seen.kv.key) == ("PUT", key):
            return seen.kv.object is not None and where(seen.kv.object)
        return answered.matches(seen)

    return Selector(f"etcd's word (Txn answer or watch event) that it stored {key} {that}", matches)


def puts(seen: EtcdRequest, key: str) -> Iterator[EtcdOperation]:
    return (each for each in seen.operations if each.op == "put" and each.key == key)


def etcd_delivery(key: str, kind: str = "PUT") -> Selector:
    """A watch event of etcd for ``key``."""
    return Selector(
        f"etcd's watch event {kind} {key}",
        lambda seen: isinstance(seen, EtcdWatchEvent) and seen.type == kind and seen.kv.key == key,
    )


def watches(role: str, resource: str) -> Selector:
    """The requests by which a role watches a resource."""
    return Selector(
        f"{role}'s watch of {resource}",
        lambda seen: (
            isinstance(seen, ApiRequest)
            and seen.verb == "watch"
            and seen.resource == resource
            and seen.sender.role == role
        ),
    )


def created_in(namespace: str, resource: str, by: str) -> Selector:
    """A create in a namespace by a role, whatever the object's name (it may be generated)."""
    wanted, _, subresource = resource.partition("/")
    return Selector(
        f"POST {resource} in {namespace} from {by}",
        lambda seen: (
            isinstance(seen, ApiRequest)
            and (seen.method, seen.resource, seen.subresource) == ("POST", wanted, subresource)
            and (seen.namespace, seen.sender.role) == (namespace, by)
        ),
    )


def subject(seen: Observation) -> set[str]:
    """The NAMESPACE/NAME of every object that an observation is about."""
    match seen:
        case ApiRequest():
            return {f"{seen.namespace}/{seen.name}", _named(seen.body)}
        case ApiResponse():
            return subject(seen.request)
        case WatchEvent():
            return {_named(seen.object)}
        case EtcdRequest():
            return {_tail(each.key) for each in seen.operations}
        case EtcdResponse():
            return subject(seen.request)
        case EtcdWatchEvent():
            return {_tail(seen.kv.key)}
        case _:
            return set()


def _named(obj: ApiObject | None) -> str:
    return f"{metadata(obj).get('namespace', '')}/{metadata(obj).get('name', '')}"


def _tail(key: str) -> str:
    return "/".join(key.split("/")[-2:])
