"""`kubewitness images node`: a node image for kind, made and put where it is wanted."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from kubewitness.assets import ALL, resolve
from kubewitness.assets.recipes import MINORS
from kubewitness.clusters import doctor
from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.clusters.nodeimage.building import NodeImage, node_image

ENGINES = ("docker", "podman")
DESCRIPTION = """\
Make an image for the nodes of kind (https://kind.sigs.k8s.io) of Debian's packages and the binaries that
`kubewitness assets` finds. It has the images of all pods that kubeadm starts and of the suites' own, so that
a cluster of it pulls nothing. Neither a registry nor a container engine is needed to make it."""
EPILOG = """\
The image is kubewitness/node:vVERSION. Its archive stays in the cache; without --output and --load, its path
is all that is printed.

Exit status: 0 made, 2 wrong usage, 3 something that it takes cannot be had.

Examples:
  kubewitness images node --load docker
  kind create cluster --image kubewitness/node:v1.37.2"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    images = subparsers.add_parser(
        "images", help="make an image for the nodes of kind", description="Makes images."
    )
    kinds = images.add_subparsers(required=True, metavar="KIND")
    node = kinds.add_parser(
        "node",
        help="an image for the nodes of kind",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    node.add_argument(
        "--version", default=MINORS[-1], help="of Kubernetes, such as 1.36 or 1.36.3 (default: %(default)s)"
    )
    node.add_argument("--output", type=Path, metavar="FILE", help="write the archive to this file, too")
    node.add_argument("--load", choices=ENGINES, help="let this container engine load it")
    node.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the archive's path, or the image's name once it is loaded; progress goes to standard error."""
    _check(arguments.output, arguments.load)
    doctor.require(arguments.version, node_image=True)
    assets = resolve(arguments.version, ALL, progress=_say)
    try:
        image = node_image(assets, _say)
        if arguments.output:
            _say(f"copying it to {arguments.output}")
            shutil.copyfile(image.archive, arguments.output)
    except OSError as error:
        raise ClusterError(f"the node image cannot be written: {error}") from error
    if arguments.load:
        _load(image, arguments.load)
    print(image.reference if arguments.load else arguments.output or image.archive)
    return 0


def _check(output: Path | None, engine: str | None) -> None:
    """What would be in vain is told before anything is made."""
    if output and (output.is_dir() or not output.parent.is_dir()):
        raise UsageError(f"--output {output}: name a file in a directory that exists")
    if engine and not shutil.which(engine):
        raise ClusterError(f"--load {engine}: there is no {engine} on PATH; install it, or use --output FILE")


def _load(image: NodeImage, engine: str) -> None:
    _say(f"{engine} loads {image.reference}")
    told = subprocess.run(
        [engine, "load", "--input", image.archive], capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise ClusterError(
            f"`{engine} load` ended with status {told.returncode}: {told.stderr.strip()}\n"
            f"Once it works: {engine} load --input {image.archive}"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
