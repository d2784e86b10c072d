"""etcd's messages, by the field numbers of its rpc.proto and kv.proto (etcd 3.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubewitness.model.observation import ApiObject, Encryption, EtcdCompare, EtcdKeyValue, EtcdOperation
from kubewitness.wire import cbor, etcd_services
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.fields import fields, message, number, octets
from kubewitness.wire.protobuf import MAGIC, decode
from kubewitness.wire.scalars import parsed_json

_REGISTRY = b"/registry/"
#: How a value begins that an API server has encrypted (EncryptionConfiguration).
_ENCRYPTED = re.compile(rb"k8s:enc:([^:]{1,63}):(v\d{1,3}):([^:]{0,253}):")
WATCH = "/etcdserverpb.Watch/Watch"
_TARGETS = {
    0: ("version", 4),
    1: ("create", 5),
    2: ("mod", 6),
    3: ("value", 7),
    4: ("lease", 8),
}
_RESULTS = {0: "=", 1: ">", 2: "<", 3: "!="}


@dataclass(frozen=True)
class Call:
    """What a request asks for, as in EtcdRequest."""

    compares: tuple[EtcdCompare, ...] = ()
    operations: tuple[EtcdOperation, ...] = ()
    otherwise: tuple[EtcdOperation, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a response says, as in EtcdResponse."""

    revision: int = 0
    succeeded: bool | None = None
    keys: tuple[EtcdKeyValue, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One event of an etcd watch."""

    type: str
    kv: EtcdKeyValue
    previous: EtcdKeyValue | None


@dataclass(frozen=True)
class Changes:
    """One response on an etcd watch; ``control`` is what it says of the watch itself."""

    watch_id: int
    revision: int
    events: tuple[Change, ...]
    control: Mapping[str, Any] = field(default_factory=dict)


class EtcdReader:
    """Reads messages. ``problem`` hears of each value that should be an object and is not."""

    def __init__(self, problem: Callable[[str], None]) -> None:
        self._problem = problem

    def call(self, method: str, data: bytes) -> Call:
        """The request ``data`` of the gRPC ``method``; empty for methods that are not known here."""
        read = {
            "/etcdserverpb.KV/Range": self._range,
            "/etcdserverpb.KV/RangeStream": self._range,
            "/etcdserverpb.KV/Put": self._put,
            "/etcdserverpb.KV/DeleteRange": self._delete,
        }.get(method)
        if read:
            return Call(operations=(read(data),))
        if method == "/etcdserverpb.KV/Txn":
            return self._txn(data)
        if method == WATCH:
            created = [body for number_, body in _parts(data) if number_ == 1]
            watched = tuple(_keyed("watch", message(body)) for body in created)
            return Call(operations=watched, arguments=etcd_services.arguments(method, data))
        return Call(arguments=etcd_services.arguments(method, data))

    def answer(self, method: str, data: bytes) -> Answer:
        """The response ``data`` to a call of ``method``, or one part of a RangeStream's."""
        if not method.startswith("/etcdserverpb."):
            return Answer()
        if method == "/etcdserverpb.KV/RangeStream":  # since etcd 3.7
            return self.answer("/etcdserverpb.KV/Range", octets(message(data), 1))
        keys: list[EtcdKeyValue] = []
        succeeded: bool | None = None
        if method == "/etcdserverpb.KV/Range":
            self._kvs(data, keys)
        elif method == "/etcdserverpb.KV/Txn":
            succeeded = any(tag == 2 << 3 and value for tag, value in fields(data))
            self._txn_kvs(data, keys)
        return Answer(_revision(data), succeeded, tuple(keys), etcd_services.results(method, data))

    def changes(self, data: bytes) -> Changes:
        """A WatchResponse."""
        watch_id, events = 0, []
        for tag, value in fields(data):
            if tag == 2 << 3 and isinstance(value, int):
                watch_id = value
            elif tag >> 3 == 11 and isinstance(value, bytes):
                events.append(self._change(value))
        control = {} if events else etcd_services.results(WATCH, data)
        return Changes(watch_id, _revision(data), tuple(events), control)

    def _change(self, data: bytes) -> Change:
        event = message(data)
        previous = octets(event, 3)
        return Change(
            "DELETE" if number(event, 1) else "PUT",
            self._key_value(octets(event, 2)),
            self._key_value(previous) if previous else None,
        )

    def _range(self, data: bytes) -> EtcdOperation:
        return _keyed("range", message(data))

    def _delete(self, data: bytes) -> EtcdOperation:
        return _keyed("delete", message(data))

    def _put(self, data: bytes) -> EtcdOperation:
        found = message(data)
        key, value = octets(found, 1), octets(found, 2)
        return EtcdOperation(
            op="put",
            key=key_text(key),
            value=self._object(key, value),
            value_bytes=len(value),
            encrypted=_encryption(value),
        )

    def _txn(self, data: bytes) -> Call:
        compares: list[EtcdCompare] = []
        success: list[EtcdOperation] = []
        failure: list[EtcdOperation] = []
        for part, body in _parts(data):
            if part == 1:
                compares.append(_compare(body))
            elif part in (2, 3):
                (success if part == 2 else failure).extend(self._operations(body))
        return Call(tuple(compares), tuple(success), tuple(failure))

    def _operations(self, request_op: bytes) -> list[EtcdOperation]:
        """The operations of a RequestOp; a nested Txn gives those of its success branch."""
        found: list[EtcdOperation] = []
        for part, body in _parts(request_op):
            if part == 4:
                found.extend(self._txn(body).operations)
            elif part in (1, 2, 3):
                found.append({1: self._range, 2: self._put, 3: self._delete}[part](body))
        return found

    def _txn_kvs(self, data: bytes, keys: list[EtcdKeyValue]) -> None:
        for part, response_op in _parts(data):
            if part == 3:
                for kind, body in _parts(response_op):
                    if kind == 1:
                        self._kvs(body, keys)
                    elif kind == 4:
                        self._txn_kvs(body, keys)

    def _kvs(self, range_response: bytes, keys: list[EtcdKeyValue]) -> None:
        keys.extend(self._key_value(body) for part, body in _parts(range_response) if part == 2)

    def _key_value(self, data: bytes) -> EtcdKeyValue:
        found = message(data)
        key, value = octets(found, 1), octets(found, 5)
        return EtcdKeyValue(
            key=key_text(key),
            create_revision=number(found, 2),
            mod_revision=number(found, 3),
            version=number(found, 4),
            object=self._object(key, value),
            value_bytes=len(value),
            lease=number(found, 6),
            encrypted=_encryption(value),
        )

    def _object(self, key: bytes, value: bytes) -> ApiObject | None:
        """The object in a stored value; None for what is no object (a counter, an encrypted value)."""
        if not key.startswith(_REGISTRY):
            return None
        try:
            if value.startswith(MAGIC):
                return decode(value)
            if value.startswith(b"{"):
                found: ApiObject = parsed_json(value)
                return found
            if value.startswith(cbor.MAGIC):
                read = cbor.parsed_cbor(value)
                return read if isinstance(read, dict) else None
        except DecodeError as error:
            self._problem(f"the value of {key_text(key)}: {error}")
        return None


def _encryption(value: bytes) -> Encryption | None:
    found = _ENCRYPTED.match(value)
    return Encryption(*(key_text(part) for part in found.groups())) if found else None


def key_text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields, which are all of a message's messages: (field number, value)."""
    return [(tag >> 3, value) for tag, value in fields(data) if isinstance(value, bytes)]


def _keyed(op: str, found: dict[int, int | bytes]) -> EtcdOperation:
    return EtcdOperation(op=op, key=key_text(octets(found, 1)), range_end=key_text(octets(found, 2)))


def _compare(data: bytes) -> EtcdCompare:
    found = message(data)
    target, field = _TARGETS.get(number(found, 2), ("", 0))
    result = _RESULTS.get(number(found, 1), "")
    if not target or not result:
        raise DecodeError(f"a compare of target {number(found, 2)} and result {number(found, 1)}")
    value = key_text(octets(found, field)) if target == "value" else number(found, field)
    return EtcdCompare(key=key_text(octets(found, 3)), target=target, result=result, value=value)


def _revision(data: bytes) -> int:
    """The store's revision: every response of etcd has a header as its first field."""
    for part, body in _parts(data):
        if part == 1:
            return number(message(body), 3)
    return 0
