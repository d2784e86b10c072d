#!/usr/bin/env python3
"""From a fresh checkout to a running command, with nothing but Python's standard library.

    python3 bootstrap.py conformance   a real cluster on this host, judged by every suite
    python3 bootstrap.py tests         lint, types and unit tests, no cluster
    python3 bootstrap.py prepare       only installs

Arguments that follow are passed on to what tox runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: Holds the digest of the pyproject.toml that .venv was installed from, so that a second run starts at once.
INSTALLED = VENV / ".installed-from"
GO_OUTSIDE_PATH = Path("/usr/local/go/bin/go")
#: What a cluster on this host needs of the system: a program on PATH or a file, and the package that has it.
SYSTEM_NEEDS = {
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/include/seccomp.h": "libseccomp-dev",
    "pkg-config": "pkg-config",
    "nsenter": "util-linux",
}
#: The same of a version whose kube-proxy cannot use nftables.
OLD_VERSION, OLD_PROXY_NEEDS = "1.19", {"iptables": "iptables"}
#: The same of nodes that are emulated, and of the servers whose volumes they mount.
EMULATION_NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "ganesha.nfsd": "nfs-ganesha-vfs",
    "tgtd": "tgt",
}
USAGE = 2


class CannotGoOnError(Exception):
    """One sentence for the person at the terminal: what is missing and what to do."""


def main(arguments: list[str]) -> int:
    """Run the command that the first argument names; the exit code is that of tox."""
    if sys.version_info < (3, 11):  # an older Python reads this file, too
        step(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
        return USAGE
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command not in {"conformance", "tests", "prepare"}:
        print(__doc__.strip(), file=sys.stderr)
        return USAGE
    try:
        if command == "conformance":
            check_host()
        if command != "tests" or can_install():
            install_system_packages(needs_of(rest))
        install_python_packages()
    except CannotGoOnError as error:
        step(str(error))
        return USAGE
    if command == "prepare":
        return 0
    return run_tox(["-e", "conformance"] if command == "conformance" else [], rest)


def needs_of(options: list[str]) -> dict[str, str]:
    """What a run with these options needs of the system."""
    needs = dict(SYSTEM_NEEDS)
    if any(each.startswith("--emulated-nodes") for each in options):
        needs |= EMULATION_NEEDS
    if any(each.rpartition("=")[2].removeprefix("v").startswith(OLD_VERSION) for each in options):
        needs |= OLD_PROXY_NEEDS
    return needs


def check_host() -> None:
    """A cluster on this host takes root and Go, unless the binaries are given."""
    if os.geteuid() != 0:
        raise CannotGoOnError(
            "a cluster on this host needs root (network namespaces, packet capture, mounts), "
            f"and this is user {os.geteuid()}; run it again as root"
        )
    if not (shutil.which("go") or GO_OUTSIDE_PATH.exists() or os.environ.get("KUBEWITNESS_ASSETS")):
        raise CannotGoOnError(
            f"no Go toolchain on PATH nor at {GO_OUTSIDE_PATH}, and the binaries are built with it; "
            "install Go (https://go.dev/doc/install), or set KUBEWITNESS_ASSETS to a folder that has them"
        )


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_system_packages(needs: dict[str, str]) -> None:
    """Install by apt what ``needs`` names, as SYSTEM_NEEDS does, and this system has not."""
    missing = [package for need, package in needs.items() if not present(need)]
    if not has_ensurepip():
        missing.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if not missing:
        return
    if not can_install():
        why = "there is no apt-get here" if os.geteuid() == 0 else "installing them needs root"
        lacking = ", ".join(missing)
        raise CannotGoOnError(f"this system lacks {lacking} (Debian's names), and {why}; install them")
    step(f"installing system packages: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call(["apt-get", "update", "-qq"], environment)
    call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], environment)


def present(need: str) -> bool:
    return Path(need).exists() if need.startswith("/") else shutil.which(need) is not None


def has_ensurepip() -> bool:
    """Debian ships the module that puts pip into a virtual environment in a package of its own."""
    return importlib.util.find_spec("ensurepip") is not None


def install_python_packages() -> None:
    """Make .venv with the project and tox in it; nothing to do when pyproject.toml is unchanged since."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if INSTALLED.exists() and INSTALLED.read_text() == digest:
        return
    if not has_ensurepip():
        raise CannotGoOnError(
            "this Python makes no virtual environments (no ensurepip); install its venv package"
        )
    step("making .venv")
    call([sys.executable, "-m", "venv", "--clear", str(VENV)])
    step("installing kubewitness and tox into .venv (about a minute)")
    quiet = ["--quiet", "--disable-pip-version-check"]
    call([str(VENV / "bin" / "pip"), "install", *quiet, "--editable", str(ROOT), "tox>=4.67"])
    INSTALLED.write_text(digest)


def run_tox(selection: list[str], rest: list[str]) -> int:
    command = [str(VENV / "bin" / "tox"), "run", *selection, *(["--", *rest] if rest else [])]
    environment = dict(os.environ)
    if not shutil.which("go") and GO_OUTSIDE_PATH.exists():
        environment["PATH"] = f"{GO_OUTSIDE_PATH.parent}{os.pathsep}{environment['PATH']}"
    step("tox " + " ".join(command[1:]))
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def step(text: str) -> None:
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def call(command: list[str], environment: dict[str, str] | None = None) -> None:
    code = subprocess.run(command, env=environment, check=False).returncode
    if code != 0:
        raise CannotGoOnError(f"`{' '.join(command)}` failed with exit code {code}; its output is above")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
