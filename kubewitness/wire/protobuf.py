"""Kubernetes objects from protobuf, in the form that the API's JSON has.

Driven by ``kubernetes_schema.json``, which ``tools/kubernetes_schema.py``
writes from Kubernetes' own sources. Fields that the schema does not know are
left out: a newer server may add some.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

from kubewitness.model.observation import ApiObject
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.fields import fields, message, octets, text
from kubewitness.wire.memo import Memo
from kubewitness.wire.scalars import SCALARS, SPECIAL, parsed_json

MAGIC = b"k8s\x00"

_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_RAW_EXTENSION = "k8s.io.apimachinery.pkg.runtime.RawExtension"
_UNION = "JSONSchemaPropsOr"

#: Most of an object is what it was in its last version, and each version is met several times.
_MEMO = Memo(1 << 19)
#: Bytes of a message that is remembered: reading less costs less than looking it up.
_SHORTEST, _LONGEST = 24, 1 << 14

Read = Callable[[Any], Any]
#: Of each wire tag: JSON name, how the value is read, flags (see tools/kubernetes_schema.py).
Plan = dict[int, tuple[str, Read, str]]


@cache
def _schema() -> Any:
    packaged = resources.files("kubewitness.wire").joinpath("kubernetes_schema.json")
    return json.loads(packaged.read_text(encoding="utf-8"))


def decode(data: bytes) -> ApiObject:
    r"""The object in ``data``, which begins with ``k8s\\0``, apiVersion and kind included."""
    if not data.startswith(MAGIC):
        raise DecodeError(f"wanted the magic k8s\\0, found {data[:4]!r}")
    unknown = message(data[len(MAGIC) :])
    raw, content_type = octets(unknown, 2), text(octets(unknown, 4))
    type_meta = message(octets(unknown, 1))
    api_version, kind = text(octets(type_meta, 1)), text(octets(type_meta, 2))
    if content_type == "application/json":
        stored: ApiObject = parsed_json(raw)
        return stored
    try:
        body: dict[str, Any] = _reader(_full_name(api_version, kind))(raw)
    except RecursionError as error:
        raise DecodeError(f"a {kind} of {api_version} is nested too deeply") from error
    return {"apiVersion": api_version, "kind": kind} | body


def watch_event(data: bytes) -> tuple[str, ApiObject]:
    """The type and the object of a watch frame: a bare metav1.WatchEvent."""
    event = message(data)
    kind, found = text(octets(event, 1)), embedded(octets(event, 2))
    if not isinstance(found, dict):
        raise DecodeError(f"a watch event of type {kind!r} has no object")
    return kind, found


def embedded(raw_extension: bytes) -> Any:
    """The object in a RawExtension, protobuf or JSON; None if there is none."""
    raw = octets(message(raw_extension), 1)
    if raw.startswith(MAGIC):
        return decode(raw)
    return parsed_json(raw) if raw else None


def _full_name(api_version: str, kind: str) -> str:
    schema = _schema()
    # The kinds of meta/v1, such as Status and DeleteOptions, are registered in every group.
    for package in (schema["groups"].get(api_version, ""), _META):
        if kind in schema["packages"].get(package, {}):
            return f"{package}.{kind}"
    raise DecodeError(
        f"kind {kind!r} of {api_version!r} is not in the schema of Kubernetes {schema['kubernetes']}"
    )


@cache
def _reader(name: str) -> Read:
    """How a message type's bytes are read."""
    if name in SPECIAL:
        return SPECIAL[name]
    if name == _RAW_EXTENSION:
        return embedded
    package, _, kind = name.rpartition(".")
    if kind.startswith(_UNION):
        return _union_reader(package, kind)
    plan = _plan(package, kind)
    if any("l" in flags for _, _, flags in plan.values()):
        return lambda data: _read(data, plan).get("", [])
    return lambda data: _read(data, plan)


@cache
def _plan(package: str, kind: str) -> Plan:
    plan: Plan = {}
    for number, json_name, proto_type, flags in _schema()["packages"][package][kind]:
        wire_type, read = _value(package, proto_type)
        if "m" in flags:
            wire_type, read = 2, _entry_reader(wire_type, read)
        plan[number << 3 | wire_type] = (json_name, read, flags)
    return plan


def _value(package: str, proto_type: str) -> tuple[int, Read]:
    """The wire type of a field and how one value of it is read."""
    if proto_type in SCALARS:
        return SCALARS[proto_type]
    name = proto_type[1:] if proto_type.startswith(".") else f"{package}.{proto_type}"

    # Types contain themselves (JSONSchemaProps), so the reader is found only when it is needed.
    def later(data: bytes) -> Any:
        read = _reader(name)
        return _MEMO.read(read, data) if _SHORTEST < len(data) < _LONGEST else read(data)

    return 2, later


def _entry_reader(wire_type: int, read: Read) -> Read:
    empty: int | bytes = 0 if wire_type == 0 else b""

    def entry(data: bytes) -> tuple[str, Any]:
        found = message(data)
        value = found.get(2, empty)
        if type(value) is not type(empty):
            raise DecodeError(f"the value of a map's entry has the wrong wire type: {value!r:.60}")
        return text(found.get(1, b"")), read(value)

    return entry


def _union_reader(package: str, kind: str) -> Read:
    """Apiextensions' JSONSchemaPropsOrX: the schema if there is one, else the other form."""
    absent: Any = False if kind.endswith("Bool") else []
    plan = _plan(package, kind)

    def union(data: bytes) -> Any:
        found = _read(data, plan)
        if "schema" in found:
            return found["schema"]
        return next(iter(found.values()), absent)

    return union


def _read(data: bytes, plan: Plan) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for tag, raw in fields(data):
        known = plan.get(tag)
        if known is None:
            continue
        name, read, flags = known
        value = read(raw)
        if not flags:
            if name:
                result[name] = value
            else:
                result |= value
        elif "r" in flags:
            result.setdefault(name, []).append(value)
        elif "m" in flags:
            key, item = value
            result.setdefault(name, {})[key] = item
        # Go leaves out what is empty, but never a struct.
        elif value or isinstance(value, dict):
            result[name] = value
    return result
