"""Bodies of API messages, from their bytes to the object in them."""

from __future__ import annotations

import importlib
from typing import Any

from kubewitness.model.observation import ApiObject
from kubewitness.wire.cbor import parsed_cbor
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.inflate import inflater_of
from kubewitness.wire.protobuf import MAGIC, decode
from kubewitness.wire.scalars import parsed_json

PROTOBUF, JSON, CBOR, YAML = (
    "application/vnd.kubernetes.protobuf",
    "application/json",
    "application/cbor",
    "application/yaml",
)
CBOR_SEQUENCE = "application/cbor-seq"
_JSON_PATCH = "application/json-patch+json"
_BY_SUFFIX = {"json": JSON, "cbor": CBOR, "yaml": YAML}


def uncompressed(data: bytes, encoding: str) -> bytes:
    """``data`` without its grpc-encoding."""
    inflater = inflater_of(encoding)
    if inflater is None:
        return data
    plain = inflater.feed(data)
    if not inflater.complete:
        raise DecodeError(f"a gzip body of {len(data)} bytes is cut off")
    return plain


def media_type(content_type: str) -> str:
    """``application/json`` of ``application/json; charset=utf-8``."""
    return content_type.partition(";")[0].strip().lower()


def _syntax(content_type: str) -> str:
    """The one of the four in which a body of this kind is written; "" if it is none of them."""
    kind = media_type(content_type)
    if kind in (PROTOBUF, JSON, CBOR, YAML):
        return kind
    return _BY_SUFFIX.get(kind.rpartition("+")[2], "") if "+" in kind else ""


def holds_object(content_type: str) -> bool:
    """Whether a body of this kind is an object that is read here."""
    return bool(_syntax(content_type))


def body_object(content_type: str, data: bytes) -> ApiObject | None:
    """The object in a body; None where its kind of content has no object (or none that is read here)."""
    found = _parsed(_syntax(content_type), data) if data else None
    return found if isinstance(found, dict) else None


def body_operations(content_type: str, data: bytes) -> tuple[ApiObject, ...]:
    """The operations of a JSON patch (RFC 6902), which is no object but a list of them; else nothing."""
    if media_type(content_type) != _JSON_PATCH or not data:
        return ()
    found = parsed_json(data)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise DecodeError(f"wanted the operations of a JSON patch, found {data[:60]!r}")
    return tuple(found)


def _parsed(syntax: str, data: bytes) -> Any:
    if syntax == PROTOBUF:
        return decode(data) if data.startswith(MAGIC) else None
    if syntax == JSON:
        return parsed_json(data)
    if syntax == CBOR:
        return parsed_cbor(data)
    return _parsed_yaml(data) if syntax == YAML else None


def _parsed_yaml(data: bytes) -> Any:
    """JSON is YAML, too, and what Kubernetes' own clients apply is that."""
    if data.startswith(b"{"):
        try:
            return parsed_json(data)
        except DecodeError:
            pass
    return importlib.import_module("kubewitness.wire.yaml_text").parsed_yaml(data)
