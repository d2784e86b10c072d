"""A package that upstream generates before it builds: made likewise, in a copy of its module."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kubewitness.assets.golang import GoError, Toolchain
from kubewitness.assets.recipes import Bundle, Generation

_FOLDER: Final = "module"
_OUTPUT: Final = "generated"
_FILE: Final = "zz_generated"


def generate(
    go: Toolchain, bundle: Bundle, generation: Generation, folders: Mapping[str, Path], work: Path
) -> None:
    """Let the go.mod in `work` replace the bundle's module by a copy that has the package; or GoError.

    Go refuses to overlay files below its module cache, so there has to be a copy. `folders` has that of each
    package of the build; those that ask for it are the generator's input.
    """
    asking = sorted(package for package, folder in folders.items() if asks(folder, generation.tag))
    if not asking:
        raise GoError(f"no package asks for {generation.package} by {generation.tag!r}")
    header = work / "header.txt"
    header.touch()
    arguments = ["run", "-mod=mod", generation.generator, "--go-header-file", str(header)]
    arguments += ["--input-dirs", ",".join(asking), "--output-base", str(work / _OUTPUT)]
    arguments += ["--output-package", generation.package, "--output-file-base", _FILE]
    arguments += ["--report-filename", str(work / "report.txt")]
    # The generator asks Go for packages in its turn.
    with go.start(arguments, work, CGO_ENABLED="0", GOFLAGS="-mod=mod") as run:
        run.wait(lambda _: None)
    copy = work / _FOLDER
    _copy_files(_folder_of(go, bundle, work), copy)
    inside = generation.package.removeprefix(f"{bundle.module}/")
    shutil.copytree(work / _OUTPUT / generation.package, copy / inside, dirs_exist_ok=True)
    with (work / "go.mod").open("a") as go_mod:
        go_mod.write(f"replace {bundle.module} => ./{_FOLDER}\n")


def asks(folder: Path, tag: str) -> bool:
    """Whether a comment in a Go file of the folder begins with the tag."""
    return any(
        line.startswith("//") and line.removeprefix("//").strip().startswith(tag)
        for file in folder.glob("*.go")
        for line in file.read_text().splitlines()
    )


def _folder_of(go: Toolchain, bundle: Bundle, work: Path) -> Path:
    with go.start(["list", "-mod=mod", "-m", "-json", bundle.module], work) as run:
        known: dict[str, Any] = json.loads(run.wait(lambda _: None))
    return Path(known["Dir"])


def _copy_files(source: Path, target: Path) -> None:
    """Without modes: those of Go's module cache forbid to write, and to remove, what is in a folder."""
    for file in source.rglob("*"):
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
