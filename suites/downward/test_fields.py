"""Which fields the downward API offers, and whence the kubelet has their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kubewitness.checks.downward import field
from kubewitness.checks.ordering import happens_in_order
from kubewitness.checks.selecting import Selector, delivery, metadata
from kubewitness.checks.workloads import Check, contains, equal, in_the_end
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import ARTICLE, Kind, doc
from kubewitness.model.needs import CONTROLLERS, READABLE_TRAFFIC
from kubewitness.model.observation import ApiObject, WatchEvent
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.downward.conftest import AFTER, INFO, Informed, Refusals
from suites.downward.fields import FIELDS, FOUND_BY_KUBELET, LABEL, NOTE, TIER

Tell = Callable[..., Story]
INVALID = 422


def to_kubelet(informed: Informed, path: str, value: str) -> Selector:
    """The pod's delivery to its kubelet with this value of a field."""
    return delivery(
        informed.uid, to="kubelet", where=lambda pod: field(pod, path) == value, that=f"with {path} {value!r}"
    )


def has_address(pod: ApiObject) -> bool:
    return bool(field(pod, FIELDS["POD_IP"]))


def same_values(event: WatchEvent, names: set[str], environment: dict[str, str]) -> list[Check]:
    return [
        equal(
            f"{name}, as {FIELDS[name]} in packet {event.last_frame}", field(event.object, FIELDS[name]),
            environment.get(name),
        )
        for name in sorted(names)
    ]  # fmt: skip


@behaviour(
    "downward/values-match-wire",
    says="The value that a container gets equals the one in the pod that the kubelet's watch delivered.",
    kind=Kind.OBSERVED, source=ARTICLE, needs={READABLE_TRAFFIC, CONTROLLERS},
)  # fmt: skip
def test_values_match_wire(informed: Informed, story: Tell) -> None:
    told = story(informed.seen.history, informed.key)
    given = told.first("delivered to the kubelet", delivery(informed.uid, kind="ADDED", to="kubelet"))
    with_address = delivery(informed.uid, to="kubelet", where=has_address, that="with an address")
    addressed = told.first("delivered with an address", with_address)
    changed = told.first("delivered with another label", to_kubelet(informed, TIER, AFTER.labels[LABEL]))
    now = cast("WatchEvent", changed).object
    told.must(
        happens_in_order(given, addressed, changed),
        *same_values(cast("WatchEvent", given), set(FIELDS) - set(FOUND_BY_KUBELET), informed.environment),
        *same_values(cast("WatchEvent", addressed), set(FOUND_BY_KUBELET), informed.environment),
        *(
            equal(
                f"the file {file}, as {path} in packet {changed.last_frame}", field(now, path),
                informed.changed_files[f"{INFO}/{file}"].get("content"),
            )
            for file, path in (("tier", TIER), ("note", NOTE), ("labels", "metadata.labels"))
        ),
    )  # fmt: skip


def refused(path: str, answer: dict[str, Any]) -> tuple[Check, Check]:
    return (
        equal(f"status of the answer to a pod that asks for {path}", INVALID, answer["status"]),
        contains("a refusal", f'value: "{path}"', answer["message"]),
    )


@behaviour(
    "downward/unknown-field-refused",
    says="A pod that asks for a field that the downward API does not offer is refused.",
    kind=Kind.REQUIRED, source=doc("concepts/workloads/pods/downward-api"),
)  # fmt: skip
def test_unknown_field_refused(refusals: Refusals, story: Tell) -> None:
    accepted = {path: answer["message"] for path, answer in refusals.accepted.items()}
    story(refusals.seen.watched).must(
        *(check for path, answer in refusals.refused.items() for check in refused(path, answer)),
        equal("the same pods with a field that is offered", dict.fromkeys(accepted, "accepted"), accepted),
        in_the_end(
            pods(refusals.namespace).path, "no pod", lambda now: not now,
            lambda now: str([metadata(each).get("name") for each in now]),
        ),
    )  # fmt: skip
