"""Judgements about rollouts: how many pods were created, when they counted, and who answered a client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime

from kubewitness.checks.selecting import metadata, uid_of
from kubewitness.checks.workloads import Check, Objects, moments
from kubewitness.model.history import History
from kubewitness.model.observation import ApiObject
from kubewitness.model.verdict import Inconclusive, Violation

Picks = Callable[[ApiObject], bool]
_NS = 1_000_000_000


def created_as_wanted(replica_sets: str, pods: str) -> Check:
    """No ReplicaSet creates a pod beyond those that it is to have just then."""

    def check(history: History) -> list[Violation]:
        found: list[Violation] = []
        created = False
        for now in moments(history, replica_sets, pods):
            if (now.change.collection, now.change.type) != (pods, "ADDED"):
                continue
            for each in now.of(replica_sets):
                has, wants = _staying_of(each, now.of(pods)), int(each["spec"]["replicas"])
                if _is_owned_by(now.change.object, uid_of(each)):
                    created = True
                    if has > wants:
                        wanted = f"{wants} pods of {metadata(each)['name']}, since it is to have no more"
                        found.append(Violation(wanted, f"{has} of them, at event {now.change.position}"))
        if not created:
            raise Inconclusive("no ReplicaSet ever created a pod")
        return found

    return check


def _staying_of(replica_set: ApiObject, pods: Objects) -> int:
    """How many pods it has that do not have to end."""
    theirs = (each for each in pods if _is_owned_by(each, uid_of(replica_set)))
    return sum("deletionTimestamp" not in metadata(each) for each in theirs)


def ready_since_ns(pod: ApiObject) -> int | None:
    """When the kubelet saw the pod become ready, cut to a whole second; None if it is not."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    found = [each for each in conditions if each["type"] == "Ready" and each["status"] == "True"]
    return int(datetime.fromisoformat(found[0]["lastTransitionTime"]).timestamp()) * _NS if found else None


def ready_for(pods: Iterable[ApiObject], seconds: int, now_ns: int) -> Objects:
    """The pods that have been ready for so long, whether or not somebody has asked for their end.

    ``now_ns`` is the time at which an event was observed: later than what it tells was done. The time since
    which a pod is ready is cut to a whole second, so it is too early. Both only lengthen the time for which
    it seems to have been ready: a pod that is missing here certainly was not ready for so long. The times of
    two observed events would give no certainty: controllers, too, count from the time that is cut, and the
    first of the events may have been observed late.
    """
    since = ((each, ready_since_ns(each)) for each in pods)
    return [each for each, at_ns in since if at_ns is not None and now_ns - at_ns >= seconds * _NS]


def counted_when_ready_for(seconds: int, replica_sets: str, pods: str) -> Check:
    """Whenever a ReplicaSet says that more of its pods are available, so many were ready for ``seconds``."""

    def check(history: History) -> list[Violation]:
        found: list[Violation] = []
        counted: dict[str, int] = {}
        for now in moments(history, replica_sets, pods):
            if now.change.collection != replica_sets:
                continue
            uid, says = uid_of(now.change.object), _available(now.change.object)
            if says > counted.get(uid, 0):
                theirs = [each for each in now.of(pods) if _is_owned_by(each, uid)]
                enough = ready_for(theirs, seconds, now.change.time_ns)
                if len(enough) < says:
                    name = metadata(now.change.object)["name"]
                    wanted = f"{says} pods of {name} ready for {seconds} s when it counts them as available"
                    seen = f"{len(enough)} of them, at event {now.change.position}"
                    found.append(Violation(wanted, seen))
            counted[uid] = says
        if not any(counted.values()):
            raise Inconclusive("no ReplicaSet ever said that a pod is available")
        return found

    return check


def _available(replica_set: ApiObject) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def _is_owned_by(pod: ApiObject, uid: str) -> bool:
    return any(each["uid"] == uid for each in metadata(pod).get("ownerReferences") or [])


def ends_when_ready_for(seconds: int, pods: str, old: Picks, new: Picks) -> Check:
    """The end of each old pod is asked for only when one more new pod was ready for ``seconds``."""

    def check(history: History) -> list[Violation]:
        found: list[Violation] = []
        ending: set[str] = set()
        for now in moments(history, pods):
            pod = now.change.object
            if not old(pod) or "deletionTimestamp" not in metadata(pod) or uid_of(pod) in ending:
                continue
            ending.add(uid_of(pod))
            enough = ready_for(filter(new, now.of(pods)), seconds, now.change.time_ns)
            if len(enough) < (ended := len(ending)):
                name = metadata(pod)["name"]
                wanted = f"{ended} new pods ready for {seconds} s before {ended} old ones have to end"
                seen = f"{len(enough)} of them when {name} has to, at event {now.change.position}"
                found.append(Violation(wanted, seen))
        if not ending:
            raise Inconclusive("the end of no old pod was ever asked for")
        return found

    return check


def hostname(answer: str) -> str:
    """Which pod gave an answer to a request of the witness' /hostname."""
    return str(json.loads(answer)["hostname"])


def answered_by(
    pods: str, wanted: Iterable[str], kind: Callable[[ApiObject], str], answers: Iterable[str]
) -> Check:
    """These kinds of pods, and no others, gave ``answers``, which are the names of pods."""

    def check(history: History) -> list[Violation]:
        kinds = {
            str(metadata(each.object)["name"]): kind(each.object)
            for each in history.changes
            if each.collection == pods
        }
        seen = sorted({kinds.get(each, f"a stranger, {each}") for each in answers})
        return [] if seen == sorted(wanted) else [Violation(f"answers from {sorted(wanted)}", str(seen))]

    return check
