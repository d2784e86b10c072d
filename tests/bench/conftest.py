from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pytest

from kubewitness.wire import tcp


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real",
        type=Path,
        metavar="FILE",
        help="a run's capture.pcapng of setup insecure: its API traffic is measured, too",
    )
    parser.addoption(
        "--clusters",
        type=int,
        default=0,
        metavar="N",
        help="that many turns of each kind, for what starting and being observed cost; each takes 20 to 30 s",
    )
    parser.addoption(
        "--size",
        type=lambda text: tuple(map(int, text.split(","))),
        default=(5000, 10000),
        metavar="NODES,PODS",
        help="of the comparison with scheduler_perf (default 5000,10000)",
    )


def pytest_report_header() -> str:
    compiled = "as Python" if str(tcp.__file__).endswith(".py") else "compiled"
    return f"bench: {platform.machine()}, {os.cpu_count()} processors; the decoder is {compiled}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many times ours each peer takes, by medians and by the best rounds."""
    session: Any = getattr(config, "_benchmarksession", None)
    found = session.benchmarks if session else []
    for group in sorted({each.group for each in found if each.params and "who" in each.params}):
        those = {each.params["who"]: each.stats for each in found if each.group == group}
        if "ours" not in those:
            continue
        mine = those.pop("ours")
        terminalreporter.section(group, sep="-")
        for who, stats in those.items():
            median, least = stats.median / mine.median, stats.min / mine.min
            terminalreporter.line(f"{who}: {median:.3g} times as long as ours (best rounds: {least:.3g})")
    for each in found:
        if each.extra_info:
            told = ", ".join(f"{name} {value}" for name, value in each.extra_info.items())
            terminalreporter.line(f"{each.name}: {told}")
