"""Mutants of the suite of rollouts: what the watches delivered, or what a client told, is another thing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from suites import manifests
from suites.states import is_ready
from tests.mutants.followed import (
    Event,
    Events,
    Picks,
    Step,
    answered,
    ending,
    followed,
    objects,
    pods,
    twin,
    unready,
    without,
)
from tests.mutants.mutations import Mutation

RECORDING = "rollouts-insecure-standard"


def _followed(drive: str, how: Events) -> Step:
    return followed(f"rollouts/{drive}", how)


def _answered(drive: str, end: str, how: Callable[[Any], Any], where: Picks = lambda _: True) -> Step:
    return answered(f"rollouts/{drive}", end, how, where)


def _version(value: str) -> Picks:
    return lambda obj: manifests.environment(obj).get("VERSION") == value


def _named(start: str) -> Picks:
    return lambda obj: str(obj["metadata"]["name"]).startswith(start)


def _spec(**fields: Any) -> Callable[[Event], Event]:
    return lambda obj: {**obj, "spec": {**obj["spec"], **fields}}


def _metadata(**fields: Any) -> Callable[[Event], Event]:
    return lambda obj: {**obj, "metadata": {**obj["metadata"], **fields}}


def _wanting_one_more(replica_set: Event) -> Event:
    return _spec(replicas=replica_set["spec"]["replicas"] + 1)(replica_set)


def _of_one_change(obj: Event) -> Event:
    """Only the first change was made to its template."""
    spec = obj["spec"]["template"]["spec"]
    (main,) = spec["containers"]
    first = {**main, "env": [each for each in main["env"] if each["name"] == "VERSION"]}
    template = {**obj["spec"]["template"], "spec": {**spec, "containers": [first]}}
    return _spec(template=template)(obj)


def _with_another_template(obj: Event) -> Event:
    return _spec(template={**obj["spec"]["template"], "spec": manifests.pod_spec()})(obj)


def _available_at_once(replica_set: Event) -> Event:
    status = replica_set["status"]
    return {**replica_set, "status": {**status, "availableReplicas": status["replicas"]}}


def _ready_later(seconds: int) -> Callable[[Event], Event]:
    def late(condition: Event) -> Event:
        stamp = datetime.fromisoformat(condition["lastTransitionTime"]) + timedelta(seconds=seconds)
        return {**condition, "lastTransitionTime": stamp.isoformat()}

    def how(pod: Event) -> Event:
        conditions = [late(each) for each in pod["status"].get("conditions", [])]
        return {**pod, "status": {**pod["status"], "conditions": conditions}}

    return how


def _endpoints(endpoint_slice: Event) -> list[Any]:
    return endpoint_slice["endpoints"] or []


def _emptied(endpoint_slice: Event) -> Event:
    return {**endpoint_slice, "endpoints": []}


def _without_the_last(events: list[Event]) -> list[Event]:
    """The pod that was created last never was."""
    created = [each for each in events if each["collection"].endswith("/pods") and each["type"] == "ADDED"]
    uid = created[-1]["object"]["metadata"]["uid"]
    return [each for each in events if each["object"]["metadata"]["uid"] != uid]


def _by_one(told: Event) -> Event:
    """The client heard of one server alone."""
    return {**told, "answers": {min(told["answers"]): told["sent"]}}


def _lost(told: Event) -> Event:
    """One of the answers never came."""
    first, *_ = told["answers"]
    fewer = {**told["answers"], first: told["answers"][first] - 1}
    return {**told, "answers": fewer, "failures": ["connection refused"]}


def _mutant(name: str, outcome: str, how: Step, *neighbours: str) -> Mutation:
    others = frozenset(f"rollouts/{each}" for each in neighbours)
    return Mutation(name, f"rollouts/{outcome}", step=how, neighbours=others, recording=RECORDING)


MUTATIONS = (
    _mutant(
        "two of three pods are unready at once", "deployment-respects-max-unavailable-and-surge",
        _followed("rolled", pods(unready, _version("2"))),
    ),
    _mutant(
        "one pod more than the surge allows is wanted", "deployment-respects-max-unavailable-and-surge",
        _followed("rolled", objects("replicasets", _wanting_one_more, _version("2"))),
    ),
    _mutant(
        "a pod is created that nobody wants", "deployment-respects-max-unavailable-and-surge",
        _followed("rolled", objects("replicasets", _spec(replicas=0), _version("2"))),
    ),
    _mutant(
        "the pods that are back are of another ReplicaSet", "rollback",
        _answered("rolled", "/replicasets", lambda _: {"items": [{"metadata": {"uid": "another"}}]}),
    ),
    _mutant(
        "the template is not as it was", "rollback",
        _followed("rolled", objects("deployments", _with_another_template)),
    ),
    _mutant(
        "the Deployment is paused all the time", "pause-and-resume",
        _followed("paused", objects("deployments", _spec(paused=True))),
    ),
    _mutant(
        "the two changes are rolled out one by one", "pause-and-resume",
        _followed("paused", objects("replicasets", _of_one_change, _version("2"))),
    ),
    _mutant(
        "pods count as available at once", "min-ready-seconds",
        _followed("unhurried", objects("replicasets", _available_at_once)),
    ),
    _mutant(
        "old pods have to end at once", "min-ready-seconds",
        _followed("unhurried", pods(ending, _version("1"))),
    ),
    _mutant(
        "new pods became ready just before", "min-ready-seconds",
        _followed("unhurried", pods(_ready_later(3), _version("2"))),
    ),
    _mutant(
        "an old pod lives on beside the new ones", "recreate-strategy",
        _followed("recreated", twin("old", lambda pod: _version("1")(pod) and is_ready(pod))),
    ),
    _mutant(
        "the deleted pod stays", "replica-count-restored",
        _followed("restored", without("DELETED", _named("web-"))),
    ),
    _mutant(
        "nothing takes the place of the deleted pod", "replica-count-restored",
        _followed("restored", _without_the_last),
    ),
    _mutant(
        "the Service is empty for a moment", "rc-replaces-one-by-one",
        _followed("stepwise", objects("endpointslices", _emptied, lambda obj: len(_endpoints(obj)) == 4)),
    ),
    _mutant(
        "the pods of the second controller are not ready", "rc-replaces-one-by-one",
        _followed("stepwise", pods(unready, _named("two-"))),
    ),
    _mutant(
        "the Service has to be changed", "versions-side-by-side-by-label",
        _followed("side_by_side", objects("services", _metadata(resourceVersion="1000000"))),
    ),
    _mutant(
        "requests reach one version alone", "versions-side-by-side-by-label",
        _answered(
            "side_by_side", "an answer of version two",
            lambda was: {**was, "body": '{"hostname": "one-0"}'},
        ),
    ),
    _mutant(
        "one request is lost", "service-uninterrupted",
        _answered("polled", "/proxy/polled", _lost, lambda told: bool(told["answers"])),
    ),
    _mutant(
        "the new version never answers", "service-uninterrupted",
        _answered("polled", "/proxy/polled", _by_one, lambda told: bool(told["answers"])),
    ),
    _mutant(
        "the client does not tell what it loses", "service-uninterrupted",
        _answered("polled", "/proxy/polled", lambda was: {**was, "failures": []}),
    ),
)  # fmt: skip
