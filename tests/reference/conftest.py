from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference import tshark


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--captures",
        type=Path,
        metavar="DIR",
        help="evidence of runs, such as reports/out: the beginning of each capture.pcapng is compared, too",
    )


def pytest_report_header() -> str:
    return f"reference: {tshark.version()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "evidence" in metafunc.fixturenames:
        place: Path | None = metafunc.config.getoption("--captures", None)
        found = sorted(place.rglob("capture.pcapng")) if place else []
        metafunc.parametrize("evidence", found, ids=[f"{f.parents[2].name}-{f.parent.name}" for f in found])
