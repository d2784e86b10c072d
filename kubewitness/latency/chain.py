"""The chain of each pod's start, folded from what the wire showed, one observation after the other.

Of a message it keeps when and in which packets it was, and nothing else, so
that ten thousand pods take a few megabytes however much was said about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kubewitness.checks.selecting import node_of
from kubewitness.model.observation import (
    ApiObject,
    ApiRequest,
    ApiResponse,
    EtcdOperation,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    WatchEvent,
)
from kubewitness.model.verdict import Violation

#: By its user agent the client is known whose watch stands for "observed".
CLIENT = "kubewitness-load"
#: The links that every pod has that is created and bound, in causal order.
LINKS = ("posted", "stored", "watched", "delivered", "binding", "bound", "rewatched", "told")
#: What is told to watches comes from etcd's watch, which etcd's answer to the Txn may overtake or follow.
_CAUSES = (
    ("posted", "stored"), ("posted", "watched"), ("stored", "answered"), ("watched", "delivered"),
    ("delivered", "binding"), ("binding", "bound"), ("binding", "rewatched"), ("rewatched", "told"),
)  # fmt: skip
_WORDS = {
    "posted": "the POST of the pod",
    "answered": "the answer to it",
    "stored": "its Txn, answered by etcd",
    "watched": "etcd's watch event of it",
    "delivered": "its delivery to the scheduler",
    "binding": "the POST of its binding",
    "bound": "the binding's Txn, answered by etcd",
    "rewatched": "etcd's watch event of the binding",
    "told": "its delivery, bound, to the client",
    "running": "its delivery, running, to the client",
}


class Link(NamedTuple):
    """A message: nanoseconds since the epoch, and packet numbers, of its first and last byte."""

    started_ns: int
    time_ns: int
    first_frame: int
    last_frame: int


@dataclass(slots=True)
class Chain:
    """What was seen of one pod; None is what was not. ``intended_ns`` is when its creator meant to send."""

    name: str
    uid: str = ""
    node: str = ""
    intended_ns: int | None = None
    posted: Link | None = None
    answered: Link | None = None
    stored: Link | None = None
    watched: Link | None = None
    delivered: Link | None = None
    binding: Link | None = None
    bound: Link | None = None
    rewatched: Link | None = None
    told: Link | None = None
    running: Link | None = None

    @property
    def committed(self) -> Link | None:
        """The first sign that the pod is stored: etcd's answer and its watch event race each other."""
        return _earlier(self.stored, self.watched)

    @property
    def binding_committed(self) -> Link | None:
        """The same of the binding."""
        return _earlier(self.bound, self.rewatched)

    def lacks(self, *links: str) -> list[str]:
        """Those of ``links`` that were not seen, in words."""
        return [_WORDS[each] for each in links or LINKS if getattr(self, each) is None]

    def contradictions(self) -> Iterator[Violation]:
        """What was complete only after its effect had begun."""
        for cause, effect in _CAUSES:
            before, after = getattr(self, cause), getattr(self, effect)
            if before and after and before.last_frame >= after.first_frame:
                yield Violation(
                    f"{self.name}: {_WORDS[cause]} before {_WORDS[effect]}",
                    "they came the other way round",
                    (before.last_frame, after.first_frame),
                )


@dataclass(slots=True)
class Chains:
    """The pods of one namespace by name. ``take`` each observation, in the order of their last packets."""

    namespace: str
    of: dict[str, Chain] = field(default_factory=dict)
    _prefix: str = field(init=False)

    def __post_init__(self) -> None:
        self._prefix = f"/registry/pods/{self.namespace}/"

    def take(self, seen: Observation) -> None:
        match seen:
            case ApiRequest(method="POST", resource="pods", namespace=self.namespace):
                self._posted(seen)
            case ApiResponse(request=ApiRequest(method="POST", resource="pods", subresource="") as request):
                if request.namespace == self.namespace and seen.status < 300:
                    self._answered(seen)
            case WatchEvent(request=ApiRequest(resource="pods")):
                self._delivered(seen)
            case EtcdResponse(succeeded=True):
                for each in seen.request.operations:
                    self._stored(seen, each)
            case EtcdWatchEvent(type="PUT") if seen.kv.key.startswith(self._prefix):
                chain = self._chain(seen.kv.key.removeprefix(self._prefix))
                _first(chain, "rewatched" if node_of(seen.kv.object) else "watched", seen)

    def intended(self, starts_ns: Mapping[str, int]) -> None:
        """When the creator meant to send each pod's POST. Pods that it did not create are forgotten."""
        self.of = {name: self._chain(name) for name in starts_ns}
        for name, start_ns in starts_ns.items():
            self.of[name].intended_ns = start_ns

    def _chain(self, name: str) -> Chain:
        if name not in self.of:
            self.of[name] = Chain(name)
        return self.of[name]

    def _posted(self, seen: ApiRequest) -> None:
        if seen.subresource == "" and seen.name:
            _first(self._chain(seen.name), "posted", seen)
        elif seen.subresource == "binding" and seen.sender.role == "kube-scheduler":
            _first(self._chain(seen.name), "binding", seen)

    def _answered(self, seen: ApiResponse) -> None:
        metadata = (seen.body or {}).get("metadata", {})
        chain = self._chain(str(metadata.get("name") or seen.request.name))
        chain.uid = str(metadata.get("uid", ""))
        if not seen.request.name:  # the server names what its client, such as a controller, named in part
            _first(chain, "posted", seen.request)
        _first(chain, "answered", seen)

    def _stored(self, seen: EtcdResponse, operation: EtcdOperation) -> None:
        if operation.op == "put" and operation.key.startswith(self._prefix):
            chain, node = self._chain(operation.key.removeprefix(self._prefix)), node_of(operation.value)
            chain.node = chain.node or node
            _first(chain, "bound" if node else "stored", seen)

    def _delivered(self, seen: WatchEvent) -> None:
        metadata = seen.object.get("metadata", {})
        if metadata.get("namespace") != self.namespace or seen.type not in ("ADDED", "MODIFIED"):
            return
        chain = self._chain(str(metadata["name"]))
        if seen.receiver.role == "kube-scheduler":
            if not node_of(seen.object):
                _first(chain, "delivered", seen)
        elif seen.request.headers.get("user-agent") == CLIENT and node_of(seen.object):
            _first(chain, "told", seen)
            if is_running(seen.object):
                _first(chain, "running", seen)


def _first(chain: Chain, link: str, seen: Observation) -> None:
    if getattr(chain, link) is None:
        times = Link(seen.started_ns, seen.time_ns, seen.first_frame, seen.last_frame)
        setattr(chain, link, times)


def _earlier(one: Link | None, other: Link | None) -> Link | None:
    return min((each for each in (one, other) if each), key=lambda each: each.time_ns, default=None)


def is_running(pod: ApiObject) -> bool:
    """Whether all containers are reported as started (which the objective for start-up asks for)."""
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    wanted = len(pod.get("spec", {}).get("containers", []))
    return wanted > 0 and sum("running" in each.get("state", {}) for each in containers) == wanted


def incomplete(chains: Iterable[Chain], *links: str) -> list[Violation]:
    """One violation for each pod that lacks any of ``links`` (all of LINKS if none is named)."""
    return [
        Violation(f"{', '.join(lacks)} for {chain.name}", "none of it", _frames(chain))
        for chain in chains
        if (lacks := chain.lacks(*links))
    ]


def contradicting(chains: Iterable[Chain]) -> list[Violation]:
    """What came before its cause."""
    return [violation for chain in chains for violation in chain.contradictions()]


def _frames(chain: Chain) -> tuple[int, ...]:
    return (chain.posted.first_frame,) if chain.posted else ()
