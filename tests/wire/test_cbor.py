"""CBOR against its own specification, against what Kubernetes makes of it, and against another decoder."""

from __future__ import annotations

import io
import struct
import tracemalloc
from itertools import pairwise
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.wire.cbor import MAGIC, Sequence, parsed_cbor
from kubewitness.wire.errors import DecodeError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=30
)


def as_kubernetes(value: Any) -> Any:
    """With texts as byte strings, keys too."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, list):
        return [as_kubernetes(each) for each in value]
    if isinstance(value, dict):
        return {as_kubernetes(key): as_kubernetes(each) for key, each in value.items()}
    return value


def tagged(tag: int, value: Any) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, value))


@pytest.mark.parametrize(
    ("data", "value"),
    [  # RFC 8949, appendix A
        ("1903e8", 1000),
        ("1bffffffffffffffff", 18446744073709551615),
        ("3bffffffffffffffff", -18446744073709551616),
        ("3863", -100),
        ("f90001", 5.960464477539063e-8),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("6449455446", "IETF"),
        ("62c3bc", "ü"),
        ("80", []),
        ("a0", {}),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("5f42010243030405ff", "\x01\x02\x03\x04\x05"),
        ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("d9d9f7a0", {}),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("c11a514b67b0", "2013-03-21T20:04:00Z"),
        ("c1fb41d452d9ec200000", "2013-03-21T20:04:00.5Z"),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "http://www.example.com"),
    ],
)
def test_examples(data: str, value: object) -> None:
    found = parsed_cbor(bytes.fromhex(data))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (tagged(22, b"\x00\xff\x10"), "AP8Q"),
        (tagged(21, b"\x00\xff\x10\xff"), "AP8Q_w"),
        (tagged(23, b"\x00\xff"), "00ff"),
        (tagged(22, {b"a": [b"\xff"]}), {"a": ["/w=="]}),
        (tagged(22, cbor2.CBORTag(23, b"\xff")), "ff"),
        (tagged(22, "text stays"), "text stays"),
        (cbor2.dumps(b"no \xff UTF-8"), "no \ufffd UTF-8"),
        (tagged(55799, {b"raw": cbor2.CBORTag(55799, {b"kind": b"Pod"})}), {"raw": {"kind": "Pod"}}),
    ],
    ids=["base64", "base64url", "hex", "within", "innermost", "text", "bytes", "raw-extension"],
)
def test_byte_strings_become_what_kubernetes_makes_of_them(data: bytes, value: object) -> None:
    assert parsed_cbor(data) == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "cut off"),
        ("19", "cut off"),
        ("1903", "cut off"),
        ("62", "cut off"),
        ("82", "cut off"),
        ("a1", "cut off"),
        ("9f", "cut off"),
        ("5f41", "cut off"),
        ("0000", "left behind"),
        ("1c", "begins no CBOR"),
        ("1f", "begins no CBOR"),
        ("df", "begins no CBOR"),
        ("ff", "no place in JSON"),
        ("f7", "no place in JSON"),
        ("f0", "no place in JSON"),
        ("f97e00", "no place in JSON"),
        ("fb7ff0000000000000", "no place in JSON"),
        ("a10000", "no string"),
        ("a1f600", "no string"),
        ("62ffff", "no UTF-8"),
        ("5f6161ff", "no string"),
        ("5f5fffff", "no string"),
        ("c249010000000000000000", "tag 2"),
        ("c001", "no text"),
        ("c161", "cut off"),
        ("c1f5", "no number"),
        ("c16130", "no number"),
        ("c11bffffffffffffffff", "out of range"),
        ("81" * 300 + "00", "nested"),
        ("c6" * 3000 + "00", "nested"),
    ],
)
def test_what_is_none_is_an_error(data: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        parsed_cbor(bytes.fromhex(data))


@pytest.mark.parametrize("head", [b"\x9b", b"\xbb", b"\x5b", b"\x7b"], ids=["list", "map", "bytes", "text"])
def test_a_length_takes_no_memory(head: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DecodeError, match="cut off"):
        parsed_cbor(head + b"\xff" * 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@given(VALUES, st.booleans())
def test_agrees_with_another_decoder(value: Any, kubernetes: bool) -> None:
    data = MAGIC + cbor2.dumps(as_kubernetes(value) if kubernetes else value)
    assert parsed_cbor(data) == value == parsed_cbor(cbor2.dumps(value, canonical=True))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        parsed_cbor(data)
    except DecodeError:
        return


@settings(max_examples=200)
@given(st.lists(VALUES, max_size=6), st.data())
def test_a_sequence_may_be_cut_anywhere(values: list[Any], data: st.DataObject) -> None:
    whole = b"".join(MAGIC + cbor2.dumps(as_kubernetes(each)) for each in values)
    borders = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)) | {0, len(whole)})
    sequence, lengths = Sequence(len(whole)), []
    for low, high in pairwise(borders):
        lengths += sequence.feed(whole[low:high])
    file, ends = io.BytesIO(whole), [0]
    for _ in values:
        cbor2.load(file, read_size=1)
        ends.append(file.tell())
    assert lengths == [high - low for low, high in pairwise(ends)]


@given(st.binary(max_size=40), st.integers(0, 40))
def test_what_a_sequence_cuts_is_as_long_as_what_is_read(data: bytes, cut: int) -> None:
    sequence, complaint = Sequence(1 << 64), ""
    try:
        lengths = sequence.feed(data[:cut]) + sequence.feed(data[cut:])
        if lengths:
            parsed_cbor(data[: lengths[0]])
    except DecodeError as error:
        complaint = str(error)
    # What has no meaning may have an end all the same, which is then neither too late nor too early.
    assert "left behind" not in complaint
    assert "cut off" not in complaint


def test_items_of_indefinite_length_end_where_they_end() -> None:
    items = ["9f018202039f0405ffff", "bf61610161629f0203ffff", "7f657374726561646d696e67ff", "00"]
    sequence = Sequence(99)
    found = [sequence.feed(bytes([byte])) for byte in bytes.fromhex("".join(items))]
    ends = [at for at, each in enumerate(found, 1) if each]
    assert [each for several in found for each in several] == [len(item) // 2 for item in items]
    assert ends[-1] == len("".join(items)) // 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("ff", "no end of its own"),
        ("81ff", "no end of its own"),
        ("81" * 70_000, "nested more than 65536 deep"),
        ("1c", "begins no CBOR"),
        ("5b0000000100000000", "claims 4294967296 bytes or items, more than 1000"),
        ("9b7fffffffffffffff", "claims 9223372036854775807 bytes"),
        ("bb0000000000000400", "claims 1024 bytes"),
    ],
    ids=["break", "break-in-list", "deep", "reserved", "bytes", "list", "map"],
)
def test_behind_damage_a_sequence_has_no_items(data: str, why: str) -> None:
    sequence = Sequence(1000)
    assert sequence.feed(b"\x00\x61a" + bytes.fromhex(data)) == [1, 2], "what is before it is not lost"
    assert why in sequence.damage
    told = sequence.damage
    assert sequence.feed(b"\x00\xff") == []
    assert sequence.damage == told


@pytest.mark.parametrize(
    "data", ["81" * 300 + "00", "a1" * 300 + "00" * 301, "c6" * 3000 + "00", "f800", "bf00ff"]
)
def test_what_has_no_meaning_has_an_end(data: str) -> None:
    sequence, item = Sequence(1000), bytes.fromhex(data)
    lengths = sequence.feed(item + b"\x00" * 2)
    assert (sum(lengths), sequence.damage) == (len(item) + 2, "")


def test_a_sequence_of_long_strings_costs_no_memory() -> None:
    sequence = Sequence(1 << 24)
    assert sequence.feed(b"\x5a" + struct.pack(">I", 1 << 24)) == []
    for _ in range(15):
        assert sequence.feed(bytes(1 << 20)) == []
    assert sequence.feed(bytes(1 << 20) + b"\x00") == [(1 << 24) + 5, 1]
