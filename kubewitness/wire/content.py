"""Bodies of API messages, from their bytes to the object in them."""

from __future__ import annotations

from kubewitness.model.observation import ApiObject
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.inflate import Inflater
from kubewitness.wire.protobuf import MAGIC, decode
from kubewitness.wire.scalars import parsed_json

PROTOBUF = "application/vnd.kubernetes.protobuf"


def uncompressed(data: bytes, encoding: str) -> bytes:
    """``data`` without its Content-Encoding or grpc-encoding."""
    if encoding in ("", "identity"):
        return data
    if encoding != "gzip":
        raise DecodeError(f"wanted a body in gzip or as it is, found encoding {encoding!r}")
    inflater = Inflater()
    plain = inflater.feed(data)
    if not inflater.complete:
        raise DecodeError(f"a gzip body of {len(data)} bytes is cut off")
    return plain


def media_type(content_type: str) -> str:
    """``application/json`` of ``application/json; charset=utf-8``."""
    return content_type.partition(";")[0].strip().lower()


def body_object(content_type: str, data: bytes) -> ApiObject | None:
    """The object in a body; None where its kind of content has no object (or none that is read here)."""
    kind = media_type(content_type)
    if kind == PROTOBUF and data.startswith(MAGIC):
        return decode(data)
    if data and (kind == "application/json" or kind.endswith("+json")):
        found = parsed_json(data)
        return found if isinstance(found, dict) else None
    return None
