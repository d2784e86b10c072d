"""An OCI runtime for hosts whose root lacks CAP_SYS_RESOURCE: runc, asked for nothing that needs it.

Such a host lets nobody raise a resource limit or lower an oom_score_adj, and a
container gets no capability that root lacks. Containers of engines that ask for
these all the same do not start. This stands before runc, takes such wishes out
of the bundle's configuration, and becomes runc.

Run as a script with nothing but the standard library, once for each container
and each ``exec``: RUNC followed by runc's arguments.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_CAPABILITY = "CAP_SYS_RESOURCE"


def clamp(process: dict[str, Any]) -> None:
    """Takes out of a ``process`` (OCI runtime specification, config.md) what this host does not allow."""
    process.pop("rlimits", None)
    process["oomScoreAdj"] = max(0, process.get("oomScoreAdj") or 0)
    for kind, names in (process.get("capabilities") or {}).items():
        process["capabilities"][kind] = [name for name in names or () if name != _CAPABILITY]


def _edit(file: Path, member: str) -> None:
    content = json.loads(file.read_text())
    clamp(content[member] if member else content)
    file.write_text(json.dumps(content))


def _value(arguments: list[str], *options: str) -> str:
    for number, each in enumerate(arguments):
        name, _, value = each.partition("=")
        if name in options:
            return value or arguments[number + 1]
    return ""


def main() -> None:
    runc, *arguments = sys.argv[1:]
    if "create" in arguments or "run" in arguments:
        _edit(Path(_value(arguments, "--bundle", "-b") or ".", "config.json"), "process")
    elif "exec" in arguments and (process := _value(arguments, "--process", "-p")):
        _edit(Path(process), "")
    os.execv(runc, [runc, *arguments])


if __name__ == "__main__":
    main()
