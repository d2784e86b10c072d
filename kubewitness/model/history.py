"""All that was observed in one recording."""

from __future__ import annotations

from dataclasses import dataclass

from kubewitness.model.observation import Change, Connection, Observation


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """What the kernel says of the capture: packets handed over and packets dropped."""

    packets: int
    dropped: int
    interfaces: tuple[str, ...]


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
