"""Mutants of what the CSI driver serves: other things are in volumes, in watches and among its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mutants.followed import Event, Picks, Step, followed
from tests.mutants.mutations import Mutation

Answer = dict[str, Any]
RECORDING = "volumes-csi-insecure-standard"
DRIVE = "volumes/served"
SERVES = "volumes/csi-ephemeral-and-persistent"
LISTS = "volumes/csi-node-lists-driver"


def _mutation(name: str, behaviour: str, step: Step) -> Mutation:
    return Mutation(name, behaviour, step=step, recording=RECORDING)


def _found(content: str, instead: str) -> Step:
    """What a pod was told of a file with this content."""

    def mutate(scene: str, what: str, result: Any) -> Any:
        asked = scene == DRIVE and what.endswith("/proxy/file") and result["content"] == content
        return {**result, "content": instead} if asked else result

    return mutate


def _calls(how: Callable[[list[Answer]], list[Answer]]) -> Step:
    """What every node's driver says that it was called for."""

    def mutate(scene: str, what: str, result: Any) -> Any:
        asked = scene == DRIVE and what.endswith("/proxy/calls")
        return {"calls": how(result["calls"])} if asked else result

    return mutate


def _uncalled(method: str, volume: str) -> Step:
    """No driver was called by this method for a volume whose id starts so."""

    def matches(call: Answer) -> bool:
        return call["method"] == method and str(call["request"].get("volumeId")).startswith(volume)

    return _calls(lambda calls: [each for each in calls if not matches(each)])


def _events(kind: str, how: Callable[[list[Event]], list[Event]]) -> Step:
    """The events of the collections of a kind, and only they, were others."""

    def mutate(events: list[Event]) -> list[Event]:
        ours = iter(how([each for each in events if each["collection"].endswith(f"/{kind}")]))
        others = [each for each in events if not each["collection"].endswith(f"/{kind}")]
        return sorted([*others, *ours], key=lambda each: each["position"])

    return followed(DRIVE, mutate)


def _objects(kind: str, how: Callable[[Event], Event], where: Picks = lambda _: True) -> Step:
    """The objects of a kind were others, at all times."""

    def one(event: Event) -> Event:
        return {**event, "object": how(event["object"])} if where(event["object"]) else event

    return _events(kind, lambda events: [one(each) for each in events])


def _with_spec(**fields: object) -> Callable[[Event], Event]:
    return lambda obj: {**obj, "spec": {**obj["spec"], **fields}}


def _named(name: str) -> Picks:
    return lambda obj: bool(obj["metadata"]["name"] == name)


def _owned_by(uid: str) -> Callable[[Event], Event]:
    return lambda volume: _with_spec(claimRef={**volume["spec"]["claimRef"], "uid": uid})(volume)


def _driven_by(driver: str) -> Callable[[Event], Event]:
    return lambda volume: _with_spec(csi={**volume["spec"]["csi"], "driver": driver})(volume)


def _twice(events: list[Event]) -> list[Event]:
    """Beside each volume there was another like it."""

    def twin(event: Event) -> Event:
        metadata = {**event["object"]["metadata"], "name": "twin"}
        return {**event, "object": {**event["object"], "metadata": metadata}}

    return [each for event in events for each in (event, twin(event))]


def _kept(events: list[Event]) -> list[Event]:
    return [each for each in events if each["type"] != "DELETED"]


def _still_listed(events: list[Event]) -> list[Event]:
    """The last state of each node is the last in which it had a driver."""
    return [each for each in events if each["type"] == "LISTED" or each["object"]["spec"]["drivers"]]


def _refused(calls: list[Answer]) -> list[Answer]:
    def one(call: Answer) -> Answer:
        return {**call, "request": {}} if call["method"] == "NotifyRegistrationStatus" else call

    return [one(each) for each in calls]


MUTATIONS = (
    _mutation("an inline volume outlives its pod", SERVES, _found("second\n", "first\nsecond\n")),
    _mutation("a claim's volume is empty for the next pod", SERVES, _found("first\nsecond\n", "second\n")),
    _mutation("an inline volume stays mounted", SERVES, _uncalled("NodeUnpublishVolume", "csi-")),
    _mutation("an inline volume is one for both pods", SERVES, _calls(
        lambda calls: [
            {**each, "request": {**each["request"], "volumeId": "csi-one"}}
            if str(each["request"].get("volumeId")).startswith("csi-") else each
            for each in calls
        ]
    )),
    _mutation("a volume is there that the driver never made", SERVES, _uncalled("CreateVolume", "")),
    _mutation("a volume's storage is not deleted", SERVES, _uncalled("DeleteVolume", "pvc-")),
    _mutation("a volume is another claim's", SERVES, _objects("persistentvolumes", _owned_by("other"))),
    _mutation("a volume is another driver's", SERVES, _objects("persistentvolumes", _driven_by("other"))),
    _mutation(
        "a volume is to be kept", SERVES,
        _objects("persistentvolumes", _with_spec(persistentVolumeReclaimPolicy="Retain")),
    ),
    _mutation(
        "a volume is to be had on any node", SERVES,
        _objects("persistentvolumes", _with_spec(nodeAffinity=None)),
    ),
    _mutation("two volumes are made for a claim", SERVES, _events("persistentvolumes", _twice)),
    _mutation("a volume outlives its claim", SERVES, _events("persistentvolumes", _kept)),
    _mutation(
        "a claim is bound to a volume that nobody made", SERVES,
        _objects("persistentvolumeclaims", _with_spec(volumeName="other")),
    ),
    _mutation(
        "the second pod is not where the volume is", SERVES,
        _objects("pods", _with_spec(nodeName="elsewhere"), _named("second")),
    ),
    _mutation(
        "a node does not list its driver", LISTS,
        _objects("csinodes", _with_spec(drivers=None), _named("node1")),
    ),
    _mutation("a driver that is gone is listed", LISTS, _events("csinodes", _still_listed)),
    _mutation("a kubelet has not registered its driver", LISTS, _calls(_refused)),
)  # fmt: skip
