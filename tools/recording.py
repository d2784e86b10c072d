"""Keep a run of one cluster as a recording for tests/mutants: what a replay reads, and nothing else.

    python tools/recording.py reports/out/latest ordering-insecure-standard [--without-capture]

Writes tests/recordings/NAME.tar.xz. The same run always gives the same bytes. The capture is most of it:
without it, only behaviours that are judged by the suite's own watches and questions are kept.
"""

# ruff: noqa: INP001 - a script, not part of a package

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

RECORDINGS = Path(__file__).parents[1] / "tests" / "recordings"
CAPTURED = ("capture.pcapng", "capture_*.pcapng", "keys.log")
REPLAYED = ("script.jsonl", "sockets.jsonl")
KEPT = ("id", "verdict", "nodeid")


def main(run: Path, name: str, *options: str) -> None:
    results = json.loads((run / "results.json").read_text())
    (cluster,) = results["clusters"]
    small = "--without-capture" in options
    rows = [row for row in results["results"] if not (small and "readable-traffic" in row["needs"])]
    judged = [{key: row[key] for key in KEPT} for row in rows]
    kept = {"schema": results["schema"], "clusters": [cluster], "results": judged}
    with tarfile.open(RECORDINGS / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        add(archive, "results.json", json.dumps(kept, indent=1).encode())
        patterns = REPLAYED if small else (*CAPTURED, *REPLAYED)
        for file in (
            each for pattern in patterns for each in sorted((run / cluster["evidence"]).glob(pattern))
        ):
            add(archive, f"{cluster['evidence']}/{file.name}", file.read_bytes())


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
