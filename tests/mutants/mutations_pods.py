"""Mutants of the pods' suite: what pods and kubectl told, and what watches delivered, is another thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mutants.followed import (
    Event,
    Events,
    Picks,
    Step,
    answered,
    followed,
    on,
    pods,
    twin,
    without,
)
from tests.mutants.mutations import Mutation

RECORDING = "pods-insecure-standard"


def _mutant(name: str, outcome: str, how: Step) -> Mutation:
    return Mutation(name, f"pods/{outcome}", step=how, recording=RECORDING)


def _followed(drive: str, how: Events) -> Step:
    return followed(f"pods/{drive}", how)


def _changed(drive: str, how: Callable[[Event], Event], where: Picks) -> Step:
    return _followed(drive, pods(how, where))


def _answer(drive: str, ending: str, how: Callable[[Any], Any]) -> Step:
    """The results of all steps whose names end so are others."""
    return answered(f"pods/{drive}", ending, how)


def _is(name: str) -> Picks:
    return lambda pod: bool(pod["metadata"]["name"] == name)


def _of(app: str) -> Picks:
    return lambda pod: bool((pod["metadata"].get("labels") or {}).get("app") == app)


def _status(name: str, **fields: Any) -> Callable[[Event], Event]:
    """Another status of a container, in a pod that has one."""

    def how(pod: Event) -> Event:
        found = [
            {**each, **fields} if each["name"] == name else each
            for each in pod["status"].get("containerStatuses", [])
        ]
        return {**pod, "status": {**pod["status"], "containerStatuses": found}}

    return how


def _ended(name: str, **fields: Any) -> Callable[[Event], Event]:
    """A container that has ended did so otherwise."""

    def how(pod: Event) -> Event:
        statuses = pod["status"].get("containerStatuses", [])
        ended = [each["state"].get("terminated") for each in statuses if each["name"] == name]
        return _status(name, state={"terminated": {**ended[0], **fields}})(pod) if any(ended) else pod

    return how


def _at(address: str) -> Callable[[Event], Event]:
    def how(pod: Event) -> Event:
        found = [{"ip": address}] if pod["status"].get("podIPs") else []
        return {**pod, "status": {**pod["status"], "podIPs": found}}

    return how


def _on(node: str) -> Callable[[Event], Event]:
    return lambda pod: {**pod, "spec": {**pod["spec"], "nodeName": node}}


def _ready(pod: Event) -> Event:
    return {**pod, "status": {**pod["status"], "conditions": [{"type": "Ready", "status": "True"}]}}


def _comes_back(name: str) -> Events:
    """A pod of this name turns up elsewhere, whatever became of the one before."""

    def how(events: list[Event]) -> list[Event]:
        last = next(each for each in reversed(events) if _is(name)(each["object"]))
        metadata = {**last["object"]["metadata"], "uid": "another"}
        return [*events, {**last, "type": "ADDED", "object": {**last["object"], "metadata": metadata}}]

    return how


def _with(**fields: Any) -> Callable[[Event], Event]:
    return lambda seen: {**seen, **fields}


def _asked(*more: str) -> Callable[[Event], Event]:
    """The registry was, each time that it tells, just asked for more."""
    return lambda seen: {"asked": [*seen["asked"], *(f"HEAD kw/{each}/manifests/1" for each in more)]}


def _asked_once(image: str) -> Callable[[Event], Event]:
    """The registry was asked for an image's tag once at most."""

    def how(seen: Event) -> Event:
        tags = [at for at, each in enumerate(seen["asked"]) if each.endswith(f"/{image}/manifests/1")]
        return {"asked": [each for at, each in enumerate(seen["asked"]) if at not in tags[1:]]}

    return how


SHARED = "share-network-namespace"
ADDRESS = "one-ip-per-pod"
NODE = "co-scheduled-on-one-node"
ANOTHER = "ip-changes-on-recreation"
REPLACED = "replaced-after-node-loss"
POLICY = "restart-policy-honoured"
ORDER = "init-containers-run-in-order"
PULLS = "image-pull-policy"
SHOWN = "logs-and-exec"
GRACE = "graceful-termination"
PROBES = "probes-gate-readiness"

MUTATIONS = (
    _mutant(
        "a container does not reach the other on localhost", SHARED,
        _answer("shared", "/first:8080/proxy/get", lambda _: {"error": "connection refused"}),
    ),
    _mutant("a port is bound twice", SHARED, _answer("shared", "/first:8081/proxy/bind", lambda _: {})),
    _mutant(
        "no port can be bound", SHARED,
        _answer("shared", "/first:8080/proxy/bind", lambda _: {"error": "address already in use"}),
    ),
    _mutant(
        "a container has an address of its own", ADDRESS,
        _answer("shared", "/second:8081/proxy/addresses", lambda _: {"addresses": ["127.0.0.1", "10.0.0.9"]}),
    ),
    _mutant("two pods have one address", ADDRESS, _changed("shared", _at("10.0.0.9"), lambda _: True)),
    _mutant(
        "a container runs on another node", NODE,
        _answer("on_nodes", "/first:18183/proxy/addresses", lambda _: {"addresses": ["10.77.0.9"]}),
    ),
    _mutant("a pod runs where it is not bound", NODE, _changed("on_nodes", _on("node9"), _is("second"))),
    _mutant(
        "a Deployment's pod has the address of the one before", ANOTHER,
        _changed("recreated", _at("10.0.0.9"), _of("owned")),
    ),
    _mutant(
        "a pod made anew has the address of the one before", ANOTHER,
        _changed("recreated", _at("10.0.0.9"), _is("bare")),
    ),
    _mutant("a pod comes back on the lost node", REPLACED, _changed("bereaved", _on("node4"), _of("lost"))),
    _mutant("a bare pod comes back", REPLACED, _followed("bereaved", _comes_back("bare-lost"))),
    _mutant("a Deployment has one pod too many", REPLACED, _followed("bereaved", twin("twin", _of("lost")))),
    _mutant(
        "a node that comes back goes on with its pods", REPLACED,
        _followed("bereaved", without("DELETED", on("node5"))),
    ),
    _mutant(
        "a replaced pod was never told to end", REPLACED,
        _changed("bereaved", _ended("main", exitCode=137), _is("bare-halted")),
    ),
    _mutant(
        "a container is started again under Never", POLICY,
        _changed("ending", _status("main", restartCount=1), _is("never-3")),
    ),
    _mutant(
        "a success is started again under OnFailure", POLICY,
        _changed("ending", _status("main", restartCount=1), _is("on-failure-0")),
    ),
    _mutant(
        "a failure stays under OnFailure", POLICY,
        _changed("ending", _status("main", restartCount=0), _is("on-failure-3")),
    ),
    _mutant(
        "a success stays under Always", POLICY,
        _changed("ending", _status("main", restartCount=0), _is("always-0")),
    ),
    _mutant(
        "containers write in another order", ORDER,
        _answer("begun", "/ordered:8080/proxy/file", _with(content="second\nfirst\n")),
    ),
    _mutant(
        "a container starts after a failure", ORDER,
        _changed(
            "begun", _status("main", state={"running": {}}, containerID="containerd://1"), _is("trying")
        ),
    ),
    _mutant(
        "a failed init container is not tried again", ORDER,
        _changed(
            "begun", lambda pod: {**pod, "status": {**pod["status"], "phase": "Failed"}}, _is("trying")
        ),
    ),
    _mutant("Always does not ask again", PULLS, _answer("pulled", "/asked", _asked_once("always"))),
    _mutant("IfNotPresent asks again", PULLS, _answer("pulled", "/asked", _asked("if-not-present"))),
    _mutant("Never asks", PULLS, _answer("pulled", "/asked", _asked("never"))),
    _mutant(
        "a pod starts without its image", PULLS,
        _changed("pulled", _status("main", containerID="containerd://1"), _is("never")),
    ),
    _mutant(
        "a log is another container's", SHOWN,
        _answer("shown", " logs shown -c main", lambda text: text.replace("main", "other")),
    ),
    _mutant(
        "a command runs in the other container", SHOWN,
        _answer("shown", "/shown:8081/proxy/file", lambda _: {"content": "from here\n"}),
    ),
    _mutant(
        "a command prints nothing", SHOWN,
        _answer("shown", "/witness get http://localhost:8080/env", lambda _: "{}"),
    ),
    _mutant(
        "an object is shown as another", SHOWN,
        _answer("shown", " get pod shown -o json", lambda text: text.replace("Running", "Pending")),
    ),
    _mutant(
        "a row shows another node", SHOWN,
        _answer("shown", " -o wide --no-headers", lambda text: text.replace("node", "other")),
    ),
    _mutant(
        "a description shows another container", SHOWN,
        _answer("shown", " describe pod shown", lambda text: text.replace("containerd://", "containerd://0")),
    ),
    _mutant(
        "an obedient container is killed", GRACE,
        _changed("deleted", _ended("obedient", exitCode=137), lambda _: True),
    ),
    _mutant(
        "a container is killed within the grace period", GRACE,
        _changed("deleted", _ended("deaf", finishedAt="2026-01-01T00:00:00Z"), lambda _: True),
    ),
    _mutant(
        "the hook runs after the signal", GRACE,
        _changed(
            "deleted", _ended("obedient", message="terminated\nbefore the end\nended\n"), lambda _: True
        ),
    ),
    _mutant(
        "a container is killed without a signal", GRACE,
        _changed("deleted", _ended("deaf", message="before the end\n"), lambda _: True),
    ),
    _mutant(
        "a pod goes before its containers have ended", GRACE,
        _changed("deleted", _status("deaf", state={"running": {}}), lambda _: True),
    ),
    _mutant(
        "a pod is Ready whatever its probes say", PROBES, _changed("told_to_be", _ready, lambda _: True)
    ),
    _mutant(
        "a container is ready whatever its probe says", PROBES,
        _changed("told_to_be", _status("other", ready=True), lambda _: True),
    ),
)  # fmt: skip
