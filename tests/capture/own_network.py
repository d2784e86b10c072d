"""A network namespace for a test of the kernel's network, which nobody else's packets pass."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network(*links: str) -> Iterator[None]:
    """This thread, and whatever it starts, is in a new one; ``links`` are lines for ``ip -batch``.

    It takes CAP_SYS_ADMIN. The kernel frees the namespace when nothing is in it any longer.
    """
    with Path("/proc/thread-self/ns/net").open() as before:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            lines = "\n".join(["link set lo up", *links])
            subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
            yield
        finally:
            _check(_libc.setns(before.fileno(), _CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
