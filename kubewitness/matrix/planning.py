"""Which cell runs next, and whether it would end in time."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from kubewitness.matrix.cells import Cell
from kubewitness.matrix.store import CellResult

_UNITS_S = {"h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> float:
    """``3h``, ``90m``, ``1h30m`` or ``5400s`` in seconds; ValueError otherwise."""
    if not re.fullmatch(r"(?=.)(\d+h)?(\d+m)?(\d+s)?", text):
        raise ValueError(f"{text!r}: wanted is a duration such as 3h, 90m, 1h30m or 5400s")
    return float(sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)([hms])", text)))


def expected_s(cell: Cell, earlier: Sequence[CellResult]) -> float | None:
    """How long a cell will take, by ``earlier`` results, the oldest first; None if nothing tells.

    As long as when it last ran to its end. If it never did: as its nearest neighbour, which is of the same
    provider, if possible of the same setup, and then of the nearest version. A cell without a cluster ended
    early, so it does not count.
    """
    took = {each.cell: each.duration_s for each in earlier if each.outcome != "no cluster"}
    neighbours = [each for each in took if each.provider == cell.provider]
    if not neighbours:
        return None
    nearest = min(neighbours, key=lambda each: (each.series != cell.series, abs(each.number - cell.number)))
    return took[cell] if cell in took else took[nearest]


def next_cell(
    waiting: Collection[Cell], begun: Mapping[Cell, float], earlier: Sequence[CellResult], left_s: float
) -> Cell | None:
    """The cell of ``waiting`` to begin when ``left_s`` seconds are left; None if none would end in time.

    The one that was ``begun`` the longest ago, so that a limit cuts off other cells each night, and one that
    hangs does not cost all the others their turn. Of those never begun, the first in ``waiting``. A cell of
    unknown duration may be begun.
    """
    fitting = [each for each in waiting if (expected_s(each, earlier) or 0) <= left_s]
    return min(fitting, key=lambda each: begun.get(each, 0), default=None)
