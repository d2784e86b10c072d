"""Building a bundle from Go modules, with a go.mod that is generated and pins the versions."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubewitness.assets.generating import generate
from kubewitness.assets.golang import Run, Toolchain, elapsed
from kubewitness.assets.keylogging import overlay
from kubewitness.assets.recipes import Bundle
from kubewitness.assets.store import Progress

# -mod=mod lets Go complete the generated go.mod and go.sum; the modules are still checked by checksum.
MODULES: Final = "-mod=mod"
# Nobody debugs these; without debugging data a build takes less time and half of the space. With thousands of
# packages, each compiled by a process of its own, threads inside of each only cost (-c=1: a tenth less).
COMPILER: Final = "-gcflags=all=-dwarf=false -c=1"
_COMMIT: Final = re.compile(r"\.\d{14}-[0-9a-f]{12}$")  # the version of a module that has no tag for it
LISTING: Final = "{{.ImportPath}}\t{{.Dir}}\t{{with .Module}}{{.Version}}{{end}}"


@dataclass(frozen=True, slots=True)
class Built:
    """A finished binary. `version` is what its own module says, without the leading v."""

    file: Path
    version: str


@dataclass(frozen=True, slots=True)
class Preparation:
    """A bundle whose modules are on their way."""

    go: Toolchain
    bundle: Bundle
    names: Sequence[str]
    folder: Path
    listing: Run


def missing_tools(bundle: Bundle, go: Toolchain | None) -> str:
    """What this host lacks to build the bundle; "" if nothing."""
    if go is None:
        return "there is no Go on PATH"
    if bundle.needs_c and not shutil.which(os.environ.get("CC", "gcc")):
        return "there is no C compiler on PATH"
    return ""


@contextmanager
def prepared(go: Toolchain, bundle: Bundle, names: Sequence[str], folder: Path) -> Iterator[Preparation]:
    """Start the download of all modules that the bundle needs, while the caller does other things."""
    upstream = go.requirements(bundle.module, bundle.version) if bundle.module else {"Go": "1.21"}
    (folder / "go.mod").write_text(go_mod(bundle, upstream))
    if bundle.main:
        (folder / "main.go").write_text(bundle.main)
    packages = [bundle.packages[name] for name in names]
    arguments = ["list", MODULES, "-deps", "-f", LISTING, *_tags(bundle), *packages]
    with go.start(arguments, folder, **_c(bundle)) as listing:
        yield Preparation(go, bundle, names, folder, listing)


def build(preparation: Preparation, progress: Progress) -> dict[str, Built]:
    """Compile and link. GoError if that fails."""
    bundle, start = preparation.bundle, time.monotonic()
    progress(f"{bundle.name}: fetching the modules")
    listing = preparation.listing.wait(
        lambda _: progress(f"{bundle.name}: fetching the modules, {elapsed(start)}")
    )
    listed = dict(line.split("\t", 1) for line in listing.splitlines())
    if bundle.generation:
        progress(f"{bundle.name}: generating {bundle.generation.package}")
        folders = {package: Path(rest.split("\t")[0]) for package, rest in listed.items()}
        generate(preparation.go, bundle, bundle.generation, folders, preparation.folder)
    progress(f"{bundle.name}: building {', '.join(preparation.names)} of {len(listed)} packages")

    def report(compiled: int) -> None:
        linked = len(list(binaries.iterdir()))
        progress(
            f"{bundle.name}: {compiled} of at most {len(listed)} packages compiled, "
            f"{linked} of {len(packages)} binaries linked, {elapsed(start)}"
        )

    binaries = preparation.folder / "bin"
    binaries.mkdir()
    packages = [bundle.packages[name] for name in preparation.names]
    linker = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in bundle.stamps.items())])
    if bundle.needs_c:
        linker += " -linkmode=external -extldflags=-static"
    arguments = ["build", MODULES, "-v", "-trimpath", COMPILER, "-ldflags", linker, *_tags(bundle)]
    if bundle.key_log:
        arguments += ["-overlay", str(overlay(preparation.go, preparation.folder))]
    arguments += ["-o", f"{binaries}/", *packages]
    with preparation.go.start(arguments, preparation.folder, **_c(bundle), **memory()) as run:
        run.wait(report)
    progress(f"{bundle.name}: built in {elapsed(start)}")
    return {
        name: _collected(binaries, name, package, listed[package].split("\t"), bundle)
        for name, package in zip(preparation.names, packages, strict=True)
    }


def go_mod(bundle: Bundle, upstream: dict[str, Any]) -> str:
    """A go.mod that gives the build exactly the versions that upstream's own go.mod gives it.

    Go heeds the go, godebug and replace lines of the main module alone, so they are repeated here. What
    upstream replaces by a folder of its repository is published under the same name, as v0 instead of v1.
    """
    lines = [f"module kubewitness.example/{bundle.name}", f"go {upstream['Go']}"]
    lines += [f"godebug {setting['Key']}={setting['Value']}" for setting in upstream.get("GoDebug") or []]
    if bundle.module:
        lines.append(f"require {bundle.module} v{bundle.version}")
    replaces = {
        **dict(_replaced(bundle, each) for each in upstream.get("Replace") or []),
        **bundle.replaces,
    }
    lines += [f"replace {old} => {new}" for old, new in replaces.items()]
    return "\n".join(lines) + "\n"


def _replaced(bundle: Bundle, replacement: dict[str, Any]) -> tuple[str, str]:
    old, new = replacement["Old"]["Path"], replacement["New"]
    if new["Path"].startswith("./"):
        new = {"Path": old, "Version": re.sub(r"^1\.", "v0.", bundle.version)}
    return old, f"{new['Path']} {new['Version']}"


def _collected(binaries: Path, name: str, package: str, listed: list[str], bundle: Bundle) -> Built:
    """One binary, under its own name instead of the one that Go derived from the package."""
    folder, module_version = listed
    derived = re.sub(r"/v\d+$", "", package).rsplit("/", 1)[1]
    file = binaries / derived
    if derived != name:
        file = file.rename(binaries / name)
    told = Path(folder) / "VERSION"  # agnhost and runc say there what they are
    if _COMMIT.search(module_version) and name in bundle.releases:
        module_version = bundle.releases[name].version  # the release that this commit is
    version = told.read_text().strip() if told.exists() else module_version or bundle.version
    return Built(file, version.removeprefix("v"))


def _tags(bundle: Bundle) -> list[str]:
    tags = list(bundle.tags)
    if bundle.needs_c and _has_seccomp():
        tags.append("seccomp")
    return ["-tags", ",".join(tags)] if tags else []


def _has_seccomp() -> bool:
    found = shutil.which("pkg-config")
    return found is not None and not subprocess.run([found, "--exists", "libseccomp"], check=False).returncode


def memory() -> dict[str, str]:
    """Thousands of short compilers save a tenth of their time if none of them collects garbage.

    The limit is for the few that are long: half of the memory is for as many of them as there are cores.
    """
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return {"GOGC": "off", "GOMEMLIMIT": str(half // (os.cpu_count() or 1))}


def _c(bundle: Bundle) -> dict[str, str]:
    return {"CGO_ENABLED": "1" if bundle.needs_c else "0"}
