"""Runs a command that ends, with all that it has started, when this program's standard input does.

Whoever holds the other end of that pipe may be killed at any moment: no cluster
is made for the dead. Everything in the process group is asked to end first,
since Podman that is killed at once while it makes a container forgets what its
runtime has made of it.

Run as a script with nothing but the standard library, as the leader of a process group.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

_GRACE_S = 20.0


def main() -> int:
    # Not ignored, which what is started would inherit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as child:
        ended = os.pidfd_open(child.pid)
        if ended in select.select([sys.stdin, ended], [], [])[0]:
            return child.wait()
        _end_others(time.monotonic() + _GRACE_S)
    return 128 + signal.SIGTERM


def _end_others(deadline: float) -> None:
    """Returns when nothing else in the process group is left."""
    while others := list(_others()):
        in_time = time.monotonic() < deadline
        for each in others:
            _send(each, signal.SIGTERM if in_time else signal.SIGKILL)
        waiting = set(others)
        while waiting and (not in_time or time.monotonic() < deadline):
            within_s = max(0.0, deadline - time.monotonic()) if in_time else None
            waiting.difference_update(select.select(waiting, [], [], within_s)[0])
        for each in others:
            os.close(each)


def _others() -> Iterator[int]:
    """File descriptors of the processes in this one's group; of those alone that still run."""
    group, itself = os.getpgrp(), os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - in the manner of the keeper
        if not name.isdigit() or int(name) == itself:
            continue
        try:
            process = os.pidfd_open(int(name))
        except ProcessLookupError:
            continue
        try:
            if os.getpgid(int(name)) == group and not select.select([process], [], [], 0)[0]:
                yield process
                continue
        except ProcessLookupError:
            pass  # it has ended since
        os.close(process)


def _send(process: int, sig: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(process, sig)
    except ProcessLookupError:
        return  # it has ended by itself


if __name__ == "__main__":
    status = main()
    sys.exit(status if status >= 0 else 128 - status)
