"""YAML as an API server reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.yaml_text import parsed_yaml

#: PyYAML writes texts without quotes that are none to an API server, such as y; none of these is.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(lambda text: f"x{text}")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("On", True), ("y", True), ("off", False), ("n", False), ("'no'", "no"),
        ("~", None), ("null", None), ("", None), ('""', ""), ("!!str 12", "12"), ("!!int '12'", 12),
        ("0x1f", 31), ("0b101", 5), ("0o17", 15), ("017", 15), ("-017", -15), ("1_000", 1000), ("+5", 5),
        ("0", 0), ("-0", 0), ("08", 8.0), ("1:30", "1:30"), ("12e03", "12e03"), ("1e+3", 1000.0),
        (".5", 0.5), (".5e3", 500.0), ("1.", "1."), ("1.5", 1.5), ("-", [None]), ("1.2.3", "1.2.3"),
        ("18446744073709551615", 18446744073709551615), ("18446744073709551616", 18446744073709551616.0),
        ("2026-01-02", "2026-01-02"), ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("!!timestamp 2026-01-02", "2026-01-02"), ("100m", "100m"), ("1Gi", "1Gi"), ("0.1.2", "0.1.2"),
        ("{1: a, 1.5: b, true: c}", {"1": "a", "1.5": "b", "true": "c"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, d: 2}\nc: {<<: *x, b: 3}", {"a": {"b": 1, "d": 2}, "c": {"b": 3, "d": 2}}),
        ("<<: [{a: 1}, {a: 2, b: 3}]", {"a": 1, "b": 3}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("# nothing", None),
        ("---\na: 1\n---\nb: 2", {"a": 1}),
        ("%YAML 1.1\n---\na: b", {"a": "b"}),
    ],
)  # fmt: skip
def test_meanings(text: str, value: object) -> None:
    found = parsed_yaml(text.encode())
    assert (found, type(found)) == (value, type(value))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "aliases"),
        ("a: &a [*a]", "within itself"),
        ("&a {b: *a}", "within itself"),
        ("[" * 500 + "]" * 500, "nested"),
        ("[" * 50_000, "wanted YAML"),
        ("- " * 50_000, "wanted YAML"),
        ("a: b: c", "wanted YAML"),
        ("*nowhere", "wanted YAML"),
        ("\x00", "wanted YAML"),
        ("a: !!python/object:os.system {}", "tag"),
        ("!thing {a: 1}", "tag"),
        ("!!binary aGk=", "tag"),
        ("!!set {a, b}", "tag"),
        (".nan", "no place in JSON"),
        ("-.inf", "no place in JSON"),
        ("9" * 350, "too large"),
        ("? [a]\n: b", "no text"),
        ("null: b", "no text"),
        ("<<: 1", "merges maps"),
        ("a: " + "x" * (5 << 20), "is not read"),
    ],
)
def test_what_is_none_is_an_error(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(DecodeError, match=why):
        parsed_yaml(text.encode())
    assert time.process_time() - began < 5


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: \xff", b"\xef\xbb", b"a: \xed\xa0\x80"])
def test_bytes_that_are_no_text_are_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parsed_yaml(data)


@given(VALUES, st.booleans(), st.sampled_from([None, '"']))
def test_what_is_written_as_yaml_is_read_back(value: Any, flow: bool, quotes: str | None) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, default_style=quotes, allow_unicode=True)
    assert parsed_yaml(text.encode()) == value


@given(VALUES.filter(lambda value: "e" not in repr(value)))
def test_json_is_yaml(value: Any) -> None:
    """But for exponents without a sign, which are text."""
    assert parsed_yaml(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.text(st.sampled_from("ab:-?,[]{}&*!|>'\"%@` \n#~<1.0"), max_size=40))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    try:
        parsed_yaml(text.encode())
    except DecodeError:
        return


def test_nothing_loads_yaml_before_there_is_some() -> None:
    code = "import sys, kubewitness.capture.telling, kubewitness.wire.decoder; print('yaml' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "False\n"
