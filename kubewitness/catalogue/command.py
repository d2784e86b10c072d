"""``kubewitness behaviours``: every behaviour, judged or planned."""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from kubewitness.catalogue import planned
from kubewitness.model.behaviour import Behaviour, Kind
from kubewitness.reporting.behaviours import implemented

USAGE = 2
_EPILOG = """\
examples:
  kubewitness behaviours                        every behaviour, grouped by area
  kubewitness behaviours --area daemonsets      one area
  kubewitness behaviours --kind required --json   as data

In the table `*` marks a behaviour that a test judges, `-` one that is planned. In JSON each behaviour has
id, area, says, kind, needs, source (title, url), since, until and implemented."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "behaviours",
        help="list every behaviour, judged or planned",
        description="List every behaviour with its kind, its needs and the versions it holds in.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--area", help="only this area: the part of an id before the slash")
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], help="only this kind")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the selected behaviours; 2 if the area is unknown."""
    judged = implemented()
    every = (*judged, *planned())
    areas = list(dict.fromkeys(each.area for each in every))
    if args.area and args.area not in areas:
        print(f"kubewitness: there is no area {args.area!r}; there are {', '.join(areas)}", file=sys.stderr)
        return USAGE
    chosen = [
        each
        for each in sorted(every, key=lambda each: areas.index(each.area))
        if args.area in (None, each.area) and args.kind in (None, each.kind)
    ]
    ids = {each.id for each in judged}
    if args.json:
        print(json.dumps([row(each, implemented=each.id in ids) for each in chosen], indent=2))
    else:
        width = min(shutil.get_terminal_size().columns, 120)
        print("\n".join(table(chosen, ids, width)))
    return 0


def row(behaviour: Behaviour, *, implemented: bool) -> dict[str, Any]:
    """The behaviour as the JSON list has it; ``since`` and ``until`` are null where the range is open."""
    return {
        "id": behaviour.id,
        "area": behaviour.area,
        "says": behaviour.says,
        "kind": behaviour.kind.value,
        "needs": sorted(behaviour.needs),
        "source": {"title": behaviour.source.title, "url": behaviour.source.url or None},
        "since": behaviour.since or None,
        "until": behaviour.until or None,
        "implemented": implemented,
    }


def table(behaviours: Sequence[Behaviour], judged: set[str], width: int) -> Iterable[str]:
    """Lines for a person, at most ``width`` columns where words allow. ``behaviours`` are sorted by area."""
    for area, group in itertools.groupby(behaviours, key=lambda each: each.area):
        rows = list(group)
        yield f"{area}  ({_count(rows, judged)})"
        for each in rows:
            yield f"  {'*' if each.id in judged else '-'} {each.id}  [{'; '.join(_qualities(each))}]"
            yield textwrap.fill(each.says, width, initial_indent="      ", subsequent_indent="      ")
        yield ""
    yield f"{len(behaviours)} behaviours: {_count(behaviours, judged)}"


def _count(behaviours: Sequence[Behaviour], judged: set[str]) -> str:
    done = sum(each.id in judged for each in behaviours)
    return f"{done} judged, {len(behaviours) - done} planned"


def _qualities(behaviour: Behaviour) -> Iterable[str]:
    yield behaviour.kind.value
    if behaviour.since:
        yield f"since {behaviour.since}"
    if behaviour.until:
        yield f"until {behaviour.until}"
    if behaviour.needs:
        yield f"needs {', '.join(sorted(behaviour.needs))}"
