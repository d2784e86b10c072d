"""What an object of the API is about: its identity, and where it is in its life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubewitness.model.observation import ApiObject, ResourceVersion, Uid


@dataclass(frozen=True, slots=True)
class Identity:
    """Of an object; each field is ``""`` where the object does not have it."""

    uid: Uid
    resource_version: ResourceVersion
    namespace: str
    name: str
    node: str  # where a pod runs, or is to run
    phase: str
    being_deleted: bool


def identity(found: ApiObject | None) -> Identity:
    """Of a list, or of a Table, that is only its resource version."""
    metadata, spec, status = (_part(found, each) for each in ("metadata", "spec", "status"))
    return Identity(
        namespace=_text(metadata, "namespace"),
        name=_text(metadata, "name"),
        uid=Uid(_text(metadata, "uid")),
        resource_version=ResourceVersion(_text(metadata, "resourceVersion")),
        node=_text(spec, "nodeName"),
        phase=_text(status, "phase"),
        being_deleted=bool(metadata.get("deletionTimestamp")),
    )


def about(found: ApiObject | None) -> ApiObject | None:
    """The object in an answer or an event: itself, or that of the one row of a Table (meta.k8s.io).

    How much of it a row has is up to the request's ``includeObject``: its
    metadata by default. Where it has none, the Table is given back, whose own
    metadata has the object's resource version.
    """
    inside = members(found) if is_table(found) else []
    return inside[0] if len(inside) == 1 and inside[0] else found


def is_table(found: ApiObject | None) -> bool:
    return (
        found is not None
        and found.get("kind") == "Table"
        and str(found.get("apiVersion", "")).startswith("meta.k8s.io/")
    )


def members(found: ApiObject | None) -> list[ApiObject]:
    """The objects of a list, or in the rows of a Table; an empty one for a row without."""
    if is_table(found):
        return [_part(row, "object") for row in _parts(found, "rows")]
    return _parts(found, "items")


def _part(found: ApiObject | None, name: str) -> Mapping[str, Any]:
    part = found.get(name) if found else None
    return part if isinstance(part, Mapping) else {}


def _parts(found: ApiObject | None, name: str) -> list[ApiObject]:
    parts = found.get(name) if found else None
    listed = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else []
    return [each for each in listed if isinstance(each, Mapping)]


def _text(part: Mapping[str, Any], name: str) -> str:
    return str(part.get(name) or "")
