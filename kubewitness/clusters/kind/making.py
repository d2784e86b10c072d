"""Makes a kind cluster by pytest-kind: run as a program, in the engine's own network.

NAME KUBECONFIG IMAGE KIND KUBECTL CONFIGURATION, the last five as paths but for the image.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_kind.cluster import KindCluster


def main() -> int:
    name, kubeconfig, image, kind, kubectl, configuration = sys.argv[1:]
    cluster = KindCluster(name, Path(kubeconfig), image, Path(kind), Path(kubectl))
    try:
        cluster.create(configuration)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
