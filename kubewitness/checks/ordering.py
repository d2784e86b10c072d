"""Judgements about who said what before whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from kubewitness.checks.selecting import Selector, metadata, node_of, uid_of
from kubewitness.model.history import History
from kubewitness.model.observation import (
    ApiObject,
    ApiRequest,
    ApiResponse,
    Connection,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    WatchEvent,
)
from kubewitness.model.verdict import Inconclusive, Violation

Check = Callable[[History], list[Violation]]


def _place(seen: Observation) -> str:
    frames = str(seen.first_frame)
    if seen.last_frame != seen.first_frame:
        frames += f"-{seen.last_frame}"
    return f"{type(seen).__name__} in packet {frames} from {seen.sender} to {seen.receiver}"


def happens_in_order(*chain: Observation) -> Check:
    """Each is complete on the wire before the next begins."""

    def check(_: History) -> list[Violation]:
        return [
            Violation(
                f"{_place(before)} to be complete before the next link begins",
                _place(after),
                (before.last_frame, after.first_frame),
            )
            for before, after in pairwise(chain)
            if before.last_frame >= after.first_frame
        ]

    return check


def none_before(selector: Selector, first: Observation) -> Check:
    """No observation of this kind begins before ``first`` is complete."""

    def check(history: History) -> list[Violation]:
        return [
            Violation(f"no {selector.words} before {_place(first)}", _place(seen), (seen.first_frame,))
            for seen in selector.all(history)
            if seen.first_frame <= first.last_frame
        ]

    return check


def never(selector: Selector) -> Check:
    """Nothing of this kind is in the history."""

    def check(history: History) -> list[Violation]:
        return [
            Violation(f"no {selector.words}", _place(seen), (seen.first_frame,))
            for seen in selector.all(history)
        ]

    return check


def exactly_once(selector: Selector) -> Check:
    def check(history: History) -> list[Violation]:
        found = selector.all(history)
        if len(found) == 1:
            return []
        frames = tuple(seen.first_frame for seen in found)
        return [Violation(f"exactly one {selector.words}", f"{len(found)} of them", frames)]

    return check


def sent_as_json(seen: ApiRequest) -> Check:
    def check(_: History) -> list[Violation]:
        if seen.content_type.partition(";")[0] == "application/json":
            return []
        return [
            Violation(
                "a body in application/json", seen.content_type or "no content type", (seen.first_frame,)
            )
        ]

    return check


def kubelets_see_only_their_own(requests: Sequence[Observation], node_of_role: Callable[[str], str]) -> Check:
    """Every pod watch of a kubelet selects its own node, and no other node's pod comes over it."""

    def check(history: History) -> list[Violation]:
        found = []
        for seen in requests:
            if not isinstance(seen, ApiRequest):
                continue
            wanted = f"spec.nodeName={node_of_role(seen.sender.component)}"
            if seen.query.get("fieldSelector") != wanted:
                selector = seen.query.get("fieldSelector", "none")
                found.append(Violation(f"fieldSelector {wanted}", selector, (seen.first_frame,)))
        for event in history.observations:
            if not (isinstance(event, WatchEvent) and event.receiver.role == "kubelet"):
                continue
            if event.request.resource != "pods" or event.type in ("BOOKMARK", "ERROR"):
                continue
            own = node_of_role(event.receiver.component)
            if node_of(event.object) != own:
                found.append(Violation(f"only pods of {own}", _place(event), (event.last_frame,)))
        return found

    return check


def states_in_order(
    events: Iterable[Observation], *states: tuple[str, Callable[[WatchEvent], bool]]
) -> Check:
    """The events of one watch pass through these states, in this order, and never back."""

    def check(_: History) -> list[Violation]:
        reached = -1
        found = []
        for event in events:
            if not isinstance(event, WatchEvent):
                continue
            now = max((at for at, (_, holds) in enumerate(states) if holds(event)), default=-1)
            if now < reached:
                found.append(
                    Violation(
                        f"no step back from {states[reached][0]}", f"{states[now][0]}", (event.last_frame,)
                    )
                )
            elif now > reached + 1:
                missed = ", ".join(name for name, _ in states[reached + 1 : now])
                found.append(Violation(f"to see {missed}", f"{states[now][0]} at once", (event.last_frame,)))
            reached = max(reached, now)
        if reached < len(states) - 1:
            found.append(Violation(f"to reach {states[-1][0]}", f"the watch ended {states[reached][0]}"))
        return found

    return check


def same_revision(stored: Observation, *seen: Observation) -> Check:
    """What was delivered carries as resourceVersion the revision at which etcd stored it."""

    def check(_: History) -> list[Violation]:
        assert isinstance(stored, EtcdResponse)
        found = []
        for each in seen:
            if isinstance(each, EtcdWatchEvent):
                revision = str(each.kv.mod_revision)
            else:
                assert isinstance(each, WatchEvent)
                revision = str(metadata(each.object).get("resourceVersion"))
            if revision != str(stored.revision):
                found.append(
                    Violation(
                        f"revision {stored.revision} (packet {stored.last_frame})",
                        revision,
                        (each.last_frame,),
                    )
                )
        return found

    return check


def only_role_connects(port: int, role: str) -> Check:
    """Every connection to ``port`` comes from a process of that role."""

    def check(history: History) -> list[Violation]:
        return [
            Violation(
                f"only {role} to connect to port {port}",
                f"{each.client_process.component} (process {each.client_process.pid}) from {each.client}",
                (each.first_frame,),
            )
            for each in connections_to(history, port)
            if each.client_process.known and each.client_process.role != role
        ]

    return check


def connections_to(history: History, port: int) -> list[Connection]:
    return [each for each in history.connections if each.server.port == port]


def owned_by(child: ApiResponse, owner: ApiResponse) -> Check:
    """The created child names the created owner as its controller."""

    def check(_: History) -> list[Violation]:
        wanted = uid_of(owner.body)
        owners = [
            each["uid"] for each in metadata(child.body).get("ownerReferences", []) if each.get("controller")
        ]
        return (
            []
            if owners == [wanted]
            else [Violation(f"controller {wanted}", str(owners), (child.last_frame,))]
        )

    return check


def spoken_by(seen: Observation, role: str) -> Check:
    def check(_: History) -> list[Violation]:
        if seen.sender.role == role:
            return []
        return [Violation(f"{role} to send it", _place(seen), (seen.first_frame,))]

    return check


def attributed(port: int) -> Check:
    """Somebody connects to ``port``, and everybody who does is known; else nothing can be said."""

    def check(history: History) -> list[Violation]:
        found = connections_to(history, port)
        unknown = [each for each in found if not each.client_process.known]
        if not found:
            raise Inconclusive(f"no connection to port {port} was seen, not even the API server's own")
        if unknown:
            raise Inconclusive(
                f"the process behind {unknown[0].client}'s connection to port {port} is unknown"
            )
        return []

    return check


def grace_is_zero(seen: ApiRequest) -> Check:
    """A DELETE whose options ask for no further grace."""

    def check(_: History) -> list[Violation]:
        body = seen.body or {}
        grace = body.get("gracePeriodSeconds", "none given")
        return [] if grace == 0 else [Violation("gracePeriodSeconds 0", str(grace), (seen.first_frame,))]

    return check


def node_is_not_ready(node: ApiObject) -> Check:
    def check(_: History) -> list[Violation]:
        conditions = (node.get("status") or {}).get("conditions") or []
        ready = [each["status"] for each in conditions if each["type"] == "Ready"]
        return [] if ready != ["True"] else [Violation("a node that is not Ready", "Ready is True")]

    return check


def says_why(event: ApiObject, *words: str) -> Check:
    """The message of an Event names the cause."""

    def check(_: History) -> list[Violation]:
        message = str(event.get("message", ""))
        missing = [word for word in words if word not in message]
        return [Violation(f"a message with {', '.join(missing)}", message)] if missing else []

    return check


def visible(marks: Sequence[int], others: Sequence[int], *, readable: bool) -> Check:
    """A marker is found in the clear where traffic is ``readable``, and else in no packet but its ``marks``.

    The marks were sent to carry it in the clear: a filter that does not find these finds nothing.
    """

    def check(_: History) -> list[Violation]:
        if not marks:
            raise Inconclusive(
                "the marker was sent in the clear past the capture, but the filter did not find it"
            )
        if readable and not others:
            return [Violation("the marker in packets between the components", "none")]
        if not readable and others:
            return [
                Violation(
                    "the marker in no packet of the components", f"{len(others)} packets", tuple(others)
                )
            ]
        return []

    return check
