"""Which addresses others reach somebody by."""

from __future__ import annotations

from kubewitness.checks.addresses import family, own


def test_loopback_and_link_local_addresses_are_nobodys_own() -> None:
    seen = ["127.0.0.1", "::1", "fe80::1", "169.254.0.9", "10.244.1.2", "fd00::2"]
    assert own(seen) == ["10.244.1.2", "fd00::2"]


def test_families() -> None:
    assert [family("10.244.1.2"), family("fd00::2")] == [4, 6]
