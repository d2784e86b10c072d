"""What is said to etcd's other services, Lease, Cluster and Maintenance, by its rpc.proto (etcd 3.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.fields import fields, signed, text

_Value = int | bytes
#: Of each field number: its name, how a value is read, whether there may be several.
_Plan = dict[int, tuple[str, Callable[[_Value], Any], bool]]


def _whole(value: _Value) -> int:
    """A uint64: members and hashes have such."""
    if not isinstance(value, int):
        raise DecodeError(f"wanted a number, found {value!r:.60}")
    return value


def _number(value: _Value) -> int:
    return signed(_whole(value))


def _flag(value: _Value) -> bool:
    return _whole(value) != 0


def _key(value: _Value) -> str:
    if not isinstance(value, bytes):
        raise DecodeError(f"wanted a key, found {value}")
    return value.decode("utf-8", "backslashreplace")


def _size(value: _Value) -> int:
    if not isinstance(value, bytes):
        raise DecodeError(f"wanted bytes, found {value}")
    return len(value)


def _one_of(*names: str) -> Callable[[_Value], str]:
    def read(value: _Value) -> str:
        number = _whole(value)
        return names[number] if number < len(names) else str(number)

    return read


def _message(plan: _Plan) -> Callable[[_Value], dict[str, Any]]:
    def read(value: _Value) -> dict[str, Any]:
        if not isinstance(value, bytes):
            raise DecodeError(f"wanted a message, found {value}")
        return _read(plan, value)

    return read


def _read(plan: _Plan, data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tag, value in fields(data) if plan else ():  # of keys and their values nothing is looked at twice
        known = plan.get(tag >> 3)
        if known is None:
            continue
        name, read, several = known
        if several:
            found.setdefault(name, []).append(read(value))
        else:
            found[name] = read(value)
    return found


_ALARM = _one_of("NONE", "NOSPACE", "CORRUPT")
_ID: _Plan = {1: ("ID", _number, False)}
_MEMBER_ID: _Plan = {1: ("ID", _whole, False)}
_MEMBER = _message({
    1: ("ID", _whole, False), 2: ("name", text, False), 3: ("peerURLs", text, True),
    4: ("clientURLs", text, True), 5: ("isLearner", _flag, False),
})  # fmt: skip
_MEMBERS: _Plan = {2: ("members", _MEMBER, True)}
_GRANTED: _Plan = {2: ("ID", _number, False), 3: ("TTL", _number, False), 4: ("error", text, False)}
_VERSION: _Plan = {2: ("version", text, False)}

#: By method: what is asked and what is answered. A response's field 1 is its header, which is read elsewhere.
_PLANS: Mapping[str, tuple[_Plan, _Plan]] = {
    "KV/Compact": ({1: ("revision", _number, False), 2: ("physical", _flag, False)}, {}),
    "Lease/LeaseGrant": ({1: ("TTL", _number, False), 2: ("ID", _number, False)}, _GRANTED),
    "Lease/LeaseRevoke": (_ID, {}),
    "Lease/LeaseKeepAlive": (_ID, _GRANTED),
    "Lease/LeaseTimeToLive": (
        {**_ID, 2: ("keys", _flag, False)},
        {**_GRANTED, 4: ("grantedTTL", _number, False), 5: ("keys", _key, True)},
    ),
    "Lease/LeaseLeases": ({}, {2: ("leases", _message(_ID), True)}),
    "Cluster/MemberAdd": (
        {1: ("peerURLs", text, True), 2: ("isLearner", _flag, False)},
        {2: ("member", _MEMBER, False), 3: ("members", _MEMBER, True)},
    ),
    "Cluster/MemberRemove": (_MEMBER_ID, _MEMBERS),
    "Cluster/MemberUpdate": ({**_MEMBER_ID, 2: ("peerURLs", text, True)}, _MEMBERS),
    "Cluster/MemberList": ({1: ("linearizable", _flag, False)}, _MEMBERS),
    "Cluster/MemberPromote": (_MEMBER_ID, _MEMBERS),
    "Maintenance/Alarm": (
        {
            1: ("action", _one_of("GET", "ACTIVATE", "DEACTIVATE"), False),
            2: ("memberID", _whole, False), 3: ("alarm", _ALARM, False),
        },
        {2: ("alarms", _message({1: ("memberID", _whole, False), 2: ("alarm", _ALARM, False)}), True)},
    ),
    "Maintenance/Status": (
        {},
        {
            **_VERSION, 3: ("dbSize", _number, False), 4: ("leader", _whole, False),
            5: ("raftIndex", _whole, False), 6: ("raftTerm", _whole, False),
            7: ("raftAppliedIndex", _whole, False), 8: ("errors", text, True),
            9: ("dbSizeInUse", _number, False), 10: ("isLearner", _flag, False),
            11: ("storageVersion", text, False), 12: ("dbSizeQuota", _number, False),
        },
    ),
    "Maintenance/Hash": ({}, {2: ("hash", _whole, False)}),
    "Maintenance/HashKV": (
        {1: ("revision", _number, False)},
        {
            2: ("hash", _whole, False), 3: ("compact_revision", _number, False),
            4: ("hash_revision", _number, False),
        },
    ),
    "Maintenance/Snapshot": (
        {},
        {3: ("bytes", _size, False), 4: ("version", text, False)},
    ),
    "Maintenance/MoveLeader": ({1: ("targetID", _whole, False)}, {}),
    "Maintenance/Downgrade": (
        {1: ("action", _one_of("VALIDATE", "ENABLE", "CANCEL"), False), **_VERSION},
        _VERSION,
    ),
    "Watch/Watch": (
        {2: ("cancel", _message({1: ("watch_id", _number, False)}), False)},
        {
            2: ("watch_id", _number, False), 3: ("created", _flag, False), 4: ("canceled", _flag, False),
            5: ("compact_revision", _number, False), 6: ("cancel_reason", text, False),
        },
    ),
}  # fmt: skip
_PREFIX = "/etcdserverpb."
_NOTHING: tuple[_Plan, _Plan] = ({}, {})


def arguments(method: str, data: bytes) -> dict[str, Any]:
    """What a request to the gRPC ``method`` says; nothing of methods that are told by their keys."""
    return _read(_PLANS.get(method.removeprefix(_PREFIX), _NOTHING)[0], data)


def results(method: str, data: bytes) -> dict[str, Any]:
    """What a response of ``method`` says besides its header."""
    return _read(_PLANS.get(method.removeprefix(_PREFIX), _NOTHING)[1], data)


def joined(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The parts of a streamed answer as one: of a snapshot's bytes the sum, of the rest the last."""
    whole: dict[str, Any] = {}
    for part in parts:
        size = whole.get("bytes", 0) + part.get("bytes", 0)
        whole |= part
        if size:
            whole["bytes"] = size
    return whole
