"""Why kind made no cluster: the few lines of its log that tell it.

With them are a thousand of kubeadm's, which kind lets tell each step, and after
each of its errors where in its code it arose.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from kubewitness.model.cluster import ClusterSpec, EngineName

_MOST = 12  # lines; of a preflight check each is a reason
_OURS = "ERROR: "
_EXECUTED = re.compile(r"exec --privileged (?:-i )?(\S+)")
_OUTPUT = "Command Output: "
_PLACE = re.compile(r"\t\S+:\d+$")  # in a stack trace: the line after a function's
_NO_PLACE = "no stack trace"
#: A step of kubeadm's, a line of its log, or a hint that is of no use to who does not call it.
_STEP = re.compile(r"\[[a-z-]+\] |[IWEF]\d{4} |$")
_ANNOUNCED = re.compile("(error has occurred|likely caused by|errors occurred).*:$")
_HINT = "[preflight] If you know what you are doing"
_BUSY = 10.0  # processes that want each processor; kind and its nodes alone are up to 5


def not_made(spec: ClusterSpec, version: str, status: int, log: str, load: float | None = None) -> str:
    """The message of a kind that failed, by its log. ``load`` is the host's average; None: asked for here."""
    workers = f"{len(spec.node_names)} worker{'s' if len(spec.node_names) > 1 else ''}"
    whose = "the run's own engine" if spec.engine is EngineName.OWN else f"this host's {spec.engine}"
    wanted = f"{spec.kind_name}, a control plane and {workers} of Kubernetes {version}, in {whose}"
    found = reasons(log)
    executed = _EXECUTED.search(found[0]) if found else None
    node = executed[1] if executed else f"{spec.kind_name}-control-plane"
    lines = [
        f"kind was to make {wanted}, and failed with status {status}:",
        *(f"    {each[:500]}" for each in found),
        f"look into console.log, kubelet.log and pods of {node}",
    ]
    load, processors = os.getloadavg()[0] if load is None else load, os.cpu_count() or 1
    if load > _BUSY * processors:
        lines.append(
            f"this host's load is {load:.0f} on {processors} processors, and kubeadm waits for minutes only:"
            " try again when it has less to do"
        )
    return "\n".join(lines)


def reasons(log: str) -> list[str]:
    """What kind calls the error, and what the command said that failed; if it calls nothing one, its end."""
    lines = log.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(_OURS)), None)
    if at is None:
        return _last_words(lines)
    told = [lines[at].removeprefix(_OURS)]
    said = [line.removeprefix(_OUTPUT) for line in lines[at + 1 :]]
    return [*told, *([*_errors(said)] or _last_words(said))][:_MOST]


def _last_words(lines: Sequence[str]) -> list[str]:
    return [f"last, it said: {line.strip()}" for line in lines if line.strip()][-1:]


def _errors(said: Sequence[str]) -> Iterator[str]:
    """Those that have a stack trace, and those that are announced; each with the lines that are its own."""
    block: list[str] = []
    for line, following in zip_longest(said, said[1:], fillvalue=""):
        if line.startswith(_HINT):
            continue
        if line == _NO_PLACE or _PLACE.match(following):  # this one is the first of a stack trace
            yield from block
            block = []
        elif _PLACE.match(line) or _STEP.match(line):
            yield from _announced(block)
            block = []
        elif line.startswith("\t"):
            block.append(line.strip())
        else:
            yield from _announced(block)
            block = [line]
    yield from _announced(block)


def _announced(block: Sequence[str]) -> Sequence[str]:
    return block if block and _ANNOUNCED.search(block[0]) else ()
