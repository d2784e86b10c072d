"""What a scene waits for before it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.stage import may_have_pods

BARE: dict[str, Any] = {"metadata": {"name": "default"}}


@pytest.mark.parametrize(
    ("account", "minor", "may"),
    [
        (None, (1, 37), False),
        (BARE, (1, 37), True),
        (None, (1, 19), False),
        (BARE, (1, 19), False),
        ({**BARE, "secrets": [{"name": "default-token-abcde"}]}, (1, 19), True),
    ],
)
def test_an_account_has_pods_when_they_can_have_its_token(
    account: dict[str, Any] | None, minor: tuple[int, int], may: bool
) -> None:
    assert may_have_pods(account, minor) is may
