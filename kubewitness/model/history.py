"""All that was observed in one recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubewitness.model.observation import Change, Connection, Observation


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """What the capture says of itself.

    ``packets`` are in its files; the kernel had no room for ``dropped``. ``unwritten`` came after the last of
    ``packets`` and are in no file, for the reason ``why_unwritten``: a full disk, or the capture's bound.
    """

    packets: int
    dropped: int
    interfaces: tuple[str, ...]
    unwritten: int = 0
    why_unwritten: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> CaptureStatistics:
        """From what was stored as JSON, of older captures too."""
        return cls(**{**told, "interfaces": tuple(told["interfaces"])})


@dataclass(frozen=True, slots=True)
class History:
    """Observations in the order of their last packet, and what is known to be missing.

    ``missing`` holds one sentence for each thing that may be absent (dropped
    packets, a gap, an undecodable message). A check that finds a violation in
    what *is* there may say so; one that argues from absence must not, unless
    ``missing`` is empty.
    """

    observations: tuple[Observation, ...]
    connections: tuple[Connection, ...]
    statistics: CaptureStatistics
    missing: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()  # what the suite's own watches delivered, in any setup
