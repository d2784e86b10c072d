"""`kubewitness assets`: find or make the binaries and say where each is."""

import argparse
import itertools
import json
import sys
from collections.abc import Mapping
from typing import Any

from kubewitness.assets.asset import AssetError, Assets, UnknownVersion
from kubewitness.assets.recipes import ALL, EXTRA, KEY_LOGGING_API_SERVER, MINORS
from kubewitness.assets.resolving import resolve

UNKNOWN_VERSION = 2
NOT_TO_BE_HAD = 3

DESCRIPTION = "Find or make the binaries and images that a cluster is made of, and say where each is."
EPILOG = f"""\
Each is searched in this order, and the first that has it wins:
  directory  a directory that you name: KUBEWITNESS_ASSETS, then KUBEBUILDER_ASSETS
  cache      what an earlier run downloaded or built: KUBEWITNESS_CACHE, or $XDG_CACHE_HOME/kubewitness,
             or ~/.cache/kubewitness
  download   the official release, whose checksum must be the published one; KUBEWITNESS_MIRROR is the
             base URL of a mirror that serves /dl.k8s.io/… and /github.com/…
  build      from Go modules, with the go command on PATH; runc needs a C compiler too
  path       for runc alone: the system's own

A minor version means its newest patch. What was downloaded or built stays in the cache; remove its
directories to be rid of them.

There are: {", ".join(ALL)}.
Only if named, since few behaviours need them: {", ".join(itertools.chain(*EXTRA.values()))}.
Exit status: 0 all found, {UNKNOWN_VERSION} unknown version, {NOT_TO_BE_HAD} something cannot be had.

Examples:
  kubewitness assets                              everything, for Kubernetes {MINORS[-1]}
  kubewitness assets --version {MINORS[0]} kubectl         one binary of an older version
  KUBEWITNESS_ASSETS=~/bin kubewitness assets     with binaries of your own
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "assets",
        help="find, download or build the binaries and images",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which ones; if none is named, all that every cluster needs"
    )
    parser.add_argument(
        "--version", default=MINORS[-1], help="of Kubernetes, such as 1.36 or 1.36.3 (default: %(default)s)"
    )
    parser.add_argument(
        "--key-log",
        action="store_true",
        help=f"what `kubewitness run --key-log` takes, too: {KEY_LOGGING_API_SERVER}",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was found to standard output, and progress and errors to standard error."""
    names = [*(args.names or ALL), *([KEY_LOGGING_API_SERVER] if args.key_log else [])]
    try:
        assets = resolve(args.version, names, progress=lambda line: print(line, file=sys.stderr))
    except AssetError as error:
        print(f"kubewitness assets: {error}", file=sys.stderr)
        return UNKNOWN_VERSION if isinstance(error, UnknownVersion) else NOT_TO_BE_HAD
    print(json.dumps(_as_json(assets), indent=2) if args.json else _as_table(assets))
    return 0


def _as_json(assets: Assets) -> Mapping[str, Any]:
    return {
        "kubernetes": assets.kubernetes,
        "binaries": [
            {
                "name": asset.name, "version": asset.version, "origin": asset.origin.value,
                "path": str(asset.path), "sha256": asset.sha256,
            }
            for asset in assets.binaries.values()
        ],
        "images": {reference: str(path) for reference, path in assets.images.items()},
    }  # fmt: skip


def _as_table(assets: Assets) -> str:
    lines = [f"{'NAME':24} {'VERSION':10} {'ORIGIN':10} PATH"]
    lines += [
        f"{asset.name:24} {asset.version or '?':10} {asset.origin.value:10} {asset.path}"
        for asset in assets.binaries.values()
    ]
    lines += ["", f"{'IMAGE':46} ARCHIVE"] if assets.images else []
    lines += [f"{reference:46} {path}" for reference, path in assets.images.items()]
    return "\n".join(lines)
