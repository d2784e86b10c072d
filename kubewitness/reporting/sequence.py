"""A timeline as the rows of a sequence diagram: where each arrow begins and ends, and what it carried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A payload longer than this is cut in the page; the whole one lies in the evidence.
PAYLOAD_CHARACTERS_MAX = 6000


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message. ``left`` and ``width`` are per cent of the diagram's width, from lifeline to lifeline.

    ``towards`` is right, left or self; ``side`` says where the label has room: it starts at the arrow's left
    end, ends at its right end, or is centred on it.
    """

    anchor: str
    first_frame: int
    last_frame: int
    offset_ms: float
    sender: str
    receiver: str
    kind: str
    label: str
    picked: str
    contradicts: bool
    payload: str
    left: float
    width: float
    towards: str
    side: str

    @property
    def packets(self) -> str:
        if self.first_frame == self.last_frame:
            return str(self.first_frame)
        return f"{self.first_frame}\N{EN DASH}{self.last_frame}"


@dataclass(frozen=True, slots=True)
class Diagram:
    """``lanes`` from left to right, ``arrows`` from top to bottom in the order of their last packets."""

    lanes: tuple[str, ...]
    arrows: tuple[Arrow, ...]

    @property
    def has_picked(self) -> bool:
        return any(each.picked for each in self.arrows)

    def anchor_of(self, frame: int) -> str:
        """Where the message that holds packet ``frame`` stands in the page; empty if it is not shown."""
        for each in self.arrows:
            if each.first_frame <= frame <= each.last_frame:
                return each.anchor
        return ""


def diagram(timeline: Mapping[str, Any], anchor: str, contradicting: frozenset[int]) -> Diagram:
    """The rows of ``timeline``. ``anchor`` begins every row's id; ``contradicting`` are packets to mark."""
    lanes = tuple(timeline["lanes"])
    events = sorted(timeline["events"], key=lambda event: (event["last_frame"], event["frame"]))
    arrows = tuple(
        _arrow(event, lanes, f"{anchor}/{number}", contradicting, timeline["started_ns"])
        for number, event in enumerate(events, start=1)
    )
    return Diagram(lanes, arrows)


def _arrow(
    event: Mapping[str, Any],
    lanes: tuple[str, ...],
    anchor: str,
    contradicting: frozenset[int],
    started_ns: int,
) -> Arrow:
    start, end = lanes.index(event["from"]), lanes.index(event["to"])
    first, last = sorted((start, end))
    middle = (first + last + 1) / 2 / len(lanes)
    frame, last_frame = event["frame"], event["last_frame"]
    return Arrow(
        anchor=anchor,
        first_frame=frame,
        last_frame=last_frame,
        offset_ms=(event["time_ns"] - started_ns) / 1e6,
        sender=event["from"],
        receiver=event["to"],
        kind=event["kind"],
        label=event["label"],
        picked=event["picked"] or "",
        contradicts=any(frame <= each <= last_frame for each in contradicting),
        payload="" if event["detail"] is None else payload(event["detail"]),
        left=100 * (first + 0.5) / len(lanes),
        width=100 * (last - first) / len(lanes),
        towards="self" if start == end else "right" if start < end else "left",
        side="start" if middle < 0.3 else "end" if middle > 0.7 else "middle",
    )


def payload(detail: Any) -> str:
    """``detail`` as indented JSON, without the bookkeeping that hides the rest, and not endlessly long."""
    text = json.dumps(_without_managed_fields(detail), indent=2, ensure_ascii=False)
    if len(text) <= PAYLOAD_CHARACTERS_MAX:
        return text
    left_out = len(text) - PAYLOAD_CHARACTERS_MAX
    return f"{text[:PAYLOAD_CHARACTERS_MAX]}\n… {left_out} more characters in the evidence"


def _without_managed_fields(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: f"{len(part)} entries, in the evidence"
            if key == "managedFields" and isinstance(part, list)
            else _without_managed_fields(part)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_managed_fields(part) for part in value]
    return value
