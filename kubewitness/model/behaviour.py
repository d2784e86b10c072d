"""A behaviour: one statement that a cluster must make true."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_ID = re.compile(r"^[a-z][a-z_]*/[a-z0-9]+(-[a-z0-9]+)*$")


class Kind(enum.StrEnum):
    """How binding a behaviour is."""

    REQUIRED = "required"  # Kubernetes' documentation promises it
    OBSERVED = "observed"  # true of the reference implementation, not promised
    MEASURED = "measured"  # a benchmark


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement comes from: a title, and a page if there is one."""

    title: str
    url: str = ""


def doc(page: str) -> Source:
    """A page of Kubernetes' documentation, by its path below /docs/."""
    return Source(page, f"https://kubernetes.io/docs/{page.strip('/')}/")


ARTICLE = Source("A packet capture of pod creation over the insecure port")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One statement with a stable id ``area/condition-outcome``.

    ``needs`` names what a cluster must offer (``readable-traffic``,
    ``etcd-traffic``, ``controllers``…); one that lacks a need is judged
    ``unsupported``. ``since`` and ``until`` bound the Kubernetes minor
    versions, both inclusive, ``""`` for open.
    """

    id: str
    says: str
    kind: Kind
    source: Source
    needs: frozenset[str] = frozenset()
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        if not _ID.match(self.id):
            raise ValueError(f"behaviour id {self.id!r} is not of the form area/condition-outcome")
        if not self.says.endswith("."):
            raise ValueError(f"{self.id}: the statement must be a sentence that ends in a full stop")

    @property
    def area(self) -> str:
        return self.id.split("/", 1)[0]

    def holds_in(self, minor: tuple[int, int]) -> bool:
        """Whether the statement is claimed of Kubernetes ``minor``, such as (1, 37)."""
        low = not self.since or minor >= parse_minor(self.since)
        return low and (not self.until or minor <= parse_minor(self.until))


def parse_minor(version: str) -> tuple[int, int]:
    """``1.37`` or ``v1.37.2`` as (1, 37)."""
    found = re.match(r"^v?(\d+)\.(\d+)", version)
    if not found:
        raise ValueError(f"{version!r} is no Kubernetes version")
    return int(found[1]), int(found[2])
