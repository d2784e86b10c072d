"""``kubewitness matrix-report``: what many runs found, side by side."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix import store
from kubewitness.matrix.nightly import PLACE
from kubewitness.matrix.report import write_report

_EPILOG = """\
examples:
  kubewitness matrix-report                                 the matrix that got a result last
  kubewitness matrix-report reports/out/20*                 runs, whichever they are
  kubewitness matrix-report site/* --out site               results that were gathered from elsewhere"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "matrix-report",
        help="put what many runs found side by side",
        description="Writes matrix.html and matrix.json: behaviours by version, provider and setup. Of two"
        " runs of the same version, provider and setup the later one counts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directories", nargs="*", type=Path, metavar="DIRECTORY", help="of a run, or of a matrix of them"
    )
    parser.add_argument(
        "--out", type=Path, help="the folder to write to; the one that all the runs are in if not given"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write both files and print the page's path; UsageError when there are no runs to report."""
    directories = arguments.directories or [_newest()]
    common = Path(os.path.commonpath([each.resolve() for each in directories]))
    print(write_report(directories, arguments.out or common))
    return 0


def _newest() -> Path:
    found = store.newest(PLACE)
    if found is None:
        raise UsageError(
            f"there is no matrix in {PLACE}; `kubewitness nightly` makes one, or name runs' directories"
        )
    return found
