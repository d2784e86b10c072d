"""Kubernetes objects as protobuf, which the API server reads with less work than JSON.

The other direction of ``kubewitness.wire.protobuf``, by the same schema. What is written is what that module
reads, as far as manifests go: times, raw JSON and fields of apiextensions are refused.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from typing import Any, Final

from kubewitness.load.plan import PlanError

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\0"
_META: Final = "k8s.io.apimachinery.pkg.apis.meta.v1"
_QUANTITY: Final = "k8s.io.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING: Final = "k8s.io.apimachinery.pkg.util.intstr.IntOrString"

Write = Callable[[Any], bytes]
#: Of each JSON name: its field's number, its wire type, how a value is written, flags of the schema.
Fields = Mapping[str, tuple[int, int, Write, str]]


def protobuf(manifest: Mapping[str, Any]) -> bytes:
    """The body for ``manifest``; its content type is PROTOBUF. PlanError if the schema does not have it."""
    version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
    package = _schema()["groups"].get(version, "")
    if kind not in _schema()["packages"].get(package, {}):
        raise PlanError(f"as protobuf: wanted a kind of Kubernetes, found {kind!r} of {version!r}")
    content = {name: value for name, value in manifest.items() if name not in {"apiVersion", "kind"}}
    type_meta = _field(1, 2, version.encode()) + _field(2, 2, kind.encode())
    return _MAGIC + _field(1, 2, type_meta) + _field(2, 2, _message(package, kind, content))


@cache
def _schema() -> Any:
    packaged = resources.files("kubewitness.wire").joinpath("kubernetes_schema.json")
    return json.loads(packaged.read_text(encoding="utf-8"))


def _message(package: str, kind: str, content: Mapping[str, Any]) -> bytes:
    known = _fields(package, kind)
    written = []
    inlined: dict[tuple[int, str, str], dict[str, Any]] = {}
    for name, value in content.items():
        if name not in known:
            inlined.setdefault(_inlining(package, kind, name), {})[name] = value
            continue
        number, wire_type, write, flags = known[name]
        if "r" in flags:
            written += [_field(number, wire_type, write(each)) for each in value]
        elif "m" in flags:
            entries = ((key.encode(), write(item)) for key, item in value.items())
            written += [
                _field(number, 2, _field(1, 2, key) + _field(2, wire_type, item)) for key, item in entries
            ]
        else:
            written.append(_field(number, wire_type, write(value)))
    written += [_field(number, 2, _message(of, inner, part)) for (number, of, inner), part in inlined.items()]
    return b"".join(written)


def _inlining(package: str, kind: str, name: str) -> tuple[int, str, str]:
    """Which message within this one has the field: its JSON has no name for it, but for what is in there."""
    for number, json_name, proto_type, _ in _schema()["packages"][package][kind]:
        if not json_name and name in _names(*_place(package, proto_type)):
            return number, *_place(package, proto_type)
    raise PlanError(f"as protobuf: {kind} has no field {name!r}")


@cache
def _names(package: str, kind: str) -> frozenset[str]:
    """Of a message's fields, and of those that it has inline."""
    found: set[str] = set()
    for _, name, proto_type, _ in _schema()["packages"].get(package, {}).get(kind, ()):
        found |= {name} if name else _names(*_place(package, proto_type))
    return frozenset(found)


def _place(package: str, proto_type: str) -> tuple[str, str]:
    """Package and name of a message type."""
    of, _, kind = (proto_type[1:] if proto_type.startswith(".") else f"{package}.{proto_type}").rpartition(
        "."
    )
    return of, kind


@cache
def _fields(package: str, kind: str) -> Fields:
    return {
        name: (number, *_value(package, proto_type), flags)
        for number, name, proto_type, flags in _schema()["packages"][package][kind]
        if name
    }


def _value(package: str, proto_type: str) -> tuple[int, Write]:
    if proto_type in _SCALARS:
        return _SCALARS[proto_type]
    of, kind = _place(package, proto_type)
    name = f"{of}.{kind}"
    if name in _SPECIAL:
        return 2, _SPECIAL[name]
    if kind not in _schema()["packages"].get(of, {}):
        return 2, partial(_refuse, name)
    return 2, lambda value: _message(of, kind, value)


def _refuse(name: str, _: object) -> bytes:
    raise PlanError(f"as protobuf: a {name} is not written here; send this object as JSON")


def _field(number: int, wire_type: int, value: bytes) -> bytes:
    return _varint(number << 3 | wire_type) + (_varint(len(value)) if wire_type == 2 else b"") + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _integer(value: int) -> bytes:
    return _varint(value & 0xFFFFFFFFFFFFFFFF)  # negative ones have all ten bytes


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return _field(1, 0, _integer(1)) + _field(3, 2, value.encode())
    return _field(1, 0, _integer(0)) + _field(2, 0, _integer(value))


_SCALARS: Final[dict[str, tuple[int, Write]]] = {
    "string": (2, str.encode),
    "bytes": (2, base64.b64decode),
    "bool": (0, lambda value: _integer(bool(value))),
    "int32": (0, _integer),
    "int64": (0, _integer),
    "double": (1, lambda value: struct.pack("<d", value)),
}
_SPECIAL: Final[dict[str, Write]] = {
    _QUANTITY: lambda value: _field(1, 2, str(value).encode()),
    _INT_OR_STRING: _int_or_string,
    **{f"{_META}.{kind}": partial(_refuse, kind) for kind in ("Time", "MicroTime", "Duration", "FieldsV1")},
}
