"""Bodies of API messages, from their bytes to the object in them."""

from __future__ import annotations

from kubewitness.model.observation import ApiObject
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.inflate import inflater_of
from kubewitness.wire.protobuf import MAGIC, decode
from kubewitness.wire.scalars import parsed_json

PROTOBUF = "application/vnd.kubernetes.protobuf"


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


def holds_object(content_type: str) -> bool:
    """Whether a body of this kind is an object that is read here."""
    kind = media_type(content_type)
    return kind in (PROTOBUF, "application/json") or kind.endswith("+json")


def body_object(content_type: str, data: bytes) -> ApiObject | None:
    """The object in a body; None where its kind of content has no object (or none that is read here)."""
    if not data or not holds_object(content_type):
        return None
    if media_type(content_type) == PROTOBUF:
        return decode(data) if data.startswith(MAGIC) else None
    found = parsed_json(data)
    return found if isinstance(found, dict) else None
