"""The values of the downward API are read off a pod as the kubelet does it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kubewitness.checks.downward import divided, field, listed, quantity

POD = {
    "metadata": {"name": "p", "labels": {"a/b.c": "x", "app": "p"}, "annotations": None},
    "spec": {"nodeName": "node1"},
    "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("spec.nodeName", "node1"),
        ("status.podIP", "10.0.0.1"),
        ("status.podIPs", "10.0.0.1,fd00::1"),
        ("metadata.labels['a/b.c']", "x"),
        ("metadata.labels['b.c']", ""),
        ("metadata.annotations['a']", ""),
        ("metadata.labels", 'a/b.c="x"\napp="p"'),
        ("status.hostIP", ""),
    ],
)
def test_a_field_is_found_by_its_path(path: str, value: str) -> None:
    assert field(POD, path) == value


def test_a_pod_without_a_status_has_no_address() -> None:
    assert field({"metadata": {}, "spec": {}}, "status.podIP") == ""


def test_a_list_is_sorted_and_escaped() -> None:
    assert listed({"b": 'a "word"', "a": "two\nlines"}) == 'a="two\\nlines"\nb="a \\"word\\""'


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("250m", Fraction(1, 4)), ("64Ki", 65536), ("1Mi", 1 << 20), ("1.5k", 1500), ("1e3", 1000)],
)
def test_a_quantity_is_a_number(text: str, value: Fraction) -> None:
    assert quantity(text) == value


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="'much' is no quantity"):
        quantity("much")


@pytest.mark.parametrize(
    ("amount", "divisor", "value"),
    [("1250m", "1", "2"), ("250m", "1m", "250"), ("20000001", "1Ki", "19532"), ("2048", "1Ki", "2")],
)
def test_a_division_is_rounded_up(amount: str, divisor: str, value: str) -> None:
    assert divided(amount, divisor) == value
