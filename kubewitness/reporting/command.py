"""``kubewitness report``: render a run's reports again from its results.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kubewitness.reporting import html, junit, schema

USAGE = 2
_EPILOG = """\
examples:
  kubewitness report reports/out/latest
  kubewitness report results.json --out site/nightly"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "report",
        help="render a report again from its results.json",
        description="Write report.html and junit.xml from the results.json of a run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, help="a results.json, or the folder of a run that holds one")
    parser.add_argument(
        "--out", type=Path, help="the folder to write to; the one of results.json if not given"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write both reports and print their paths; 2 when there are no readable results."""
    file: Path = args.results / "results.json" if args.results.is_dir() else args.results
    try:
        results = read(file)
    except (OSError, ValueError) as error:
        print(f"kubewitness: cannot read {file}: {error}", file=sys.stderr)
        return USAGE
    out: Path = args.out or file.parent
    out.mkdir(parents=True, exist_ok=True)
    for path in write_reports(results, out):
        print(path)
    return 0


def read(file: Path) -> schema.Results:
    """The results in ``file``, valid; OSError or ValueError if there are none."""
    results: schema.Results = json.loads(file.read_text(encoding="utf-8"))
    schema.validate(results)
    return results


def write_reports(results: schema.Results, out: Path) -> tuple[Path, Path]:
    """Write report.html and junit.xml into the folder ``out``."""
    page, xml = out / "report.html", out / "junit.xml"
    html.render(results, page)
    junit.write(results, xml)
    return page, xml
