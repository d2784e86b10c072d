"""Makes FOLDER/kubewitness what a wheel has: the package with its decoder compiled.

    python tools/compiled.py FOLDER && pytest -o "pythonpath=FOLDER ." tests/wire

So the tests and benchmarks of a checkout run on what is installed elsewhere.
"""

# ruff: noqa: INP001 - a script, not part of a package

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hatch_build import compile_into  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    folder = Path(sys.argv[1]).absolute()
    made = folder / "kubewitness"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(ROOT / "kubewitness", made, ignore=shutil.ignore_patterns("__pycache__"))
    print(f"{len(compile_into(folder, ROOT))} libraries in {made}")
