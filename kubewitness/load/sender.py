"""The process that sends a load: ``python -m kubewitness.load.sender [--owner FD] PLAN OUTCOME``.

One thread, one epoll. All bytes of requests are made before the start, and nothing is written before the
end. ``--owner`` is a pipe's end: when nobody holds the other any more, the process ends, as it does by
SIGTERM and SIGINT, without an outcome.

Exit codes: 0, all is answered and delivered; 2, the plan is broken; 3, the server cannot be reached;
4, something is missing, which the outcome tells, too.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.load.plan import Plan
from kubewitness.load.pool import Ended
from kubewitness.load.running import Running

#: By which a capture on this host knows it.
NAME = "load"


def main(arguments: list[str]) -> int:
    owner = -1
    if arguments[:1] == ["--owner"] and arguments[1:2] and arguments[1].isdecimal():
        owner, arguments = int(arguments[1]), arguments[2:]
    if len(arguments) != 2:
        return _fail("usage: python -m kubewitness.load.sender [--owner FD] PLAN OUTCOME", 2)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _end)
    Path("/proc/self/comm").write_text(NAME)
    try:
        outcome = Running(Plan.read(Path(arguments[0])), owner).run()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        outcome.write(Path(arguments[1]))
    except UsageError as error:
        return _fail(str(error), 2)
    except ClusterError as error:
        return _fail(str(error), 3)
    except OSError as error:
        return _fail(f"the outcome of the load cannot be written: {error}", 2)
    except Ended as ended:
        return _fail(f"the load was ended {ended}, and has no outcome", 4)
    if outcome.missing:
        return _fail(outcome.missing, 4)
    return 0


def _end(number: int, _: object) -> None:
    raise Ended(f"by {signal.Signals(number).name}")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # nothing is left to be tidied up, and a hundred thousand objects to be freed
