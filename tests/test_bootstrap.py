"""What the bootstrap installs is what the run that it starts needs."""

from __future__ import annotations

import pytest

import bootstrap


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ([], set()),
        (["--kube-version", "1.37", "-q"], set()),
        (["--kube-version", "1.19"], {"iptables"}),
        (["--kube-version=v1.19.16"], {"iptables"}),
        (["--emulated-nodes=1"], set(bootstrap.EMULATION_NEEDS)),
    ],
)
def test_a_run_gets_what_its_options_need(options: list[str], more: set[str]) -> None:
    assert set(bootstrap.needs_of(options)) == {*bootstrap.SYSTEM_NEEDS, *more}
