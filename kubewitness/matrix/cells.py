"""Which clusters the matrix is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubewitness.assets.recipes import INSECURE_MINOR, MINORS
from kubewitness.clusters.errors import UsageError
from kubewitness.model.behaviour import parse_minor
from kubewitness.model.cluster import Setup

KIND_MINORS = (INSECURE_MINOR, "1.34", "1.36", "1.37")
_NAME = re.compile(r"([a-z]+)-(1\.\d+)-([a-z]+)")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """The clusters of one Kubernetes minor version, provider and setup, in every topology they can have."""

    provider: str
    minor: str
    setup: str

    @property
    def name(self) -> str:
        return f"{self.provider}-{self.minor}-{self.setup}"

    @property
    def series(self) -> tuple[str, str]:
        """What a cell has in common with its other versions."""
        return self.provider, self.setup

    @property
    def number(self) -> int:
        """Of the minor version, so that versions can be compared."""
        return parse_minor(self.minor)[1]

    @property
    def options(self) -> list[str]:
        """Of ``kubewitness run``. kind makes no minimal topology: its clusters are made whole."""
        topology = ["--topology", "standard"] if self.provider == "kind" else []
        return ["--provider", self.provider, "--kube-version", self.minor, "--setup", self.setup, *topology]

    @staticmethod
    def parse(name: str) -> Cell:
        """The cell of this name; ValueError if it is none."""
        found = _NAME.fullmatch(name)
        if not found:
            raise ValueError(f"{name!r} is no cell, such as local-1.37-tls")
        return Cell(found[1], found[2], found[3])


MATRIX = tuple(
    Cell(provider, minor, str(setup))
    for provider, minors in (("local", MINORS), ("kind", KIND_MINORS))
    for minor in reversed(minors)
    for setup in Setup
)


def chosen(names: str | None) -> tuple[Cell, ...]:
    """The cells of these names, separated by commas, in the matrix's order; all without names."""
    if names is None:
        return MATRIX
    wanted = {name.strip() for name in names.split(",")}
    if unknown := wanted - {cell.name for cell in MATRIX}:
        raise UsageError(
            f"the matrix has no cell {', '.join(sorted(map(repr, unknown)))};"
            " `kubewitness nightly --list` names them"
        )
    return tuple(cell for cell in MATRIX if cell.name in wanted)
