"""What addresses are of a pod or a node, among those that it sees."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address


def own(addresses: Iterable[str]) -> list[str]:
    """Those by which others reach whoever has them: none of loopback, none for one link alone."""
    return sorted(
        each for each in addresses if not (ip_address(each).is_loopback or ip_address(each).is_link_local)
    )


def family(address: str) -> int:
    """4 or 6."""
    return ip_address(address).version
