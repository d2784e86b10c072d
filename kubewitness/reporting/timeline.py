"""The part of a history that a behaviour is about, as the report draws it."""

from __future__ import annotations

import json
from typing import Any

from kubewitness.checks.selecting import subject
from kubewitness.model.objects import about, identity
from kubewitness.model.observation import (
    ApiRequest,
    ApiResponse,
    EtcdRequest,
    EtcdResponse,
    EtcdWatchEvent,
    Observation,
    WatchEvent,
)
from kubewitness.reporting.story import Story

_ORDER = [
    "kubectl",
    "suite",
    "relay",
    "kube-apiserver",
    "etcd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
]
_EVENTS_MAX = 60
# What a judgement used is shown whole; the rest is there for orientation, and whole in the capture.
_PICKED_MAX_BYTES, _OTHER_MAX_BYTES = 6000, 1200


def timeline(story: Story) -> dict[str, Any] | None:
    """Lanes and events in time order; None where nothing about the subjects was seen."""
    about = set(story.subjects)
    names = {(each.first_frame, each.last_frame, type(each)): name for name, each in story.picks.items()}
    events: list[dict[str, Any]] = []
    for seen in story.history.observations:
        picked = names.get((seen.first_frame, seen.last_frame, type(seen)))
        if picked is None and not (about & subject(seen)):
            continue
        kind, label, payload = _described(seen)
        if kind and (picked or len(events) < _EVENTS_MAX):
            events.append(_event(seen, kind, label, payload, picked))
    if not events:
        return None
    lanes = {each[end] for each in events for end in ("from", "to")}
    return {"lanes": sorted(lanes, key=_lane), "started_ns": events[0]["time_ns"], "events": events}


def _lane(component: str) -> tuple[int, str]:
    role = component.split("/", maxsplit=1)[0]
    return (_ORDER.index(role) if role in _ORDER else len(_ORDER), component)


def _event(seen: Observation, kind: str, label: str, payload: Any, picked: str | None) -> dict[str, Any]:
    return {
        "frame": seen.first_frame,
        "last_frame": seen.last_frame,
        "time_ns": seen.time_ns,
        "from": seen.sender.component,
        "to": seen.receiver.component,
        "kind": kind,
        "label": label,
        "detail": _bounded(payload, _PICKED_MAX_BYTES if picked else _OTHER_MAX_BYTES),
        "picked": picked,
    }


def _described(seen: Observation) -> tuple[str, str, Any]:
    match seen:
        case ApiRequest():
            place = "/".join(filter(None, (seen.resource, seen.name, seen.subresource))) or seen.path
            return "request", f"{seen.method} {place}", seen.body
        case ApiResponse():
            return "response", f"{seen.status} to {seen.request.method} {seen.request.resource}", seen.body
        case WatchEvent():
            its = identity(about(seen.object))
            return "watch", f"{seen.type} {its.name} @{its.resource_version}", seen.object
        case EtcdRequest():
            method = seen.method.rsplit("/", 1)[-1]
            values = [each.value for each in seen.operations if each.value is not None]
            keys = " ".join(f"{each.op} {each.key}" for each in seen.operations)
            return "etcd-request", f"{method} {keys}".strip(), values[0] if values else seen.arguments or None
        case EtcdResponse():
            method = seen.request.method.rsplit("/", 1)[-1]
            done = "" if seen.succeeded is None else (" succeeded" if seen.succeeded else " compare failed")
            return "etcd-response", f"{method}{done} @{seen.revision}", seen.results or None
        case EtcdWatchEvent():
            return "etcd-watch", f"{seen.type} {seen.kv.key} @{seen.kv.mod_revision}", seen.kv.object
        case _:
            return "", "", None


def _bounded(payload: Any, limit: int) -> Any:
    if payload is None:
        return None
    content = json.loads(json.dumps(payload, default=str))
    if isinstance(content.get("metadata"), dict):
        content["metadata"].pop("managedFields", None)
    size = len(json.dumps(content))
    return content if size <= limit else {"omitted": f"{size} bytes; see the capture"}
