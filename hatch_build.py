"""Compiles the decoder of packets into a wheel, by mypyc (docs/adr/0017).

The modules stay in the wheel as Python, too: tracebacks show them, and they run where no library fits.
KUBEWITNESS_COMPILE=0 leaves the libraries out; so does, with a warning, a host without a C compiler.
An editable install is never compiled, since a library would hide what is edited.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What every packet passes through. All of it is sans I/O but for the files.
MODULES = [
    "kubewitness/capture/files.py",
    *(
        f"kubewitness/wire/{name}.py"
        for name in (
            "api", "cbor", "content", "conversation", "decoder", "errors", "etcd", "etcd_messages",
            "etcd_services", "exchange", "fields", "grpc", "http1", "http2", "inflate", "memo", "opening",
            "packet", "protobuf", "scalars", "spans", "streams", "target", "tcp", "towards", "watch",
            "witness", "words",
        )
    ),
]  # fmt: skip


def compile_into(folder: Path, root: Path) -> list[str]:
    """Compiles the modules of the checkout ``root``. Returns the libraries' paths in ``folder``."""
    from mypyc.build import mypycify  # noqa: PLC0415 - there only while a wheel is built
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="kubewitness-compile-") as scratch:
        os.chdir(root)  # the modules are named by their paths
        try:
            options = ["--config-file=", "--explicit-package-bases", *MODULES]
            extensions = mypycify(options, opt_level="3", target_dir=scratch, group_name="kubewitness")
            command = build_ext(Distribution({"name": "kubewitness", "ext_modules": extensions}))
            command.build_lib, command.build_temp = str(folder), scratch
            command.ensure_finalized()
            command.run()
        finally:
            os.chdir(before)
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*.so"))


class CompiledDecoder(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the libraries to a wheel."""

    _made: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        return ["mypy>=2.4", "setuptools>=65"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or os.environ.get("KUBEWITNESS_COMPILE") == "0":
            return
        if not shutil.which(os.environ.get("CC", "cc")):
            self.app.display_warning("no C compiler: the decoder is not compiled, and about half as fast")
            return
        self._made = tempfile.TemporaryDirectory(
            prefix="kubewitness-wheel-"
        )  # removed if the build fails, too
        folder = Path(self._made.name)
        for library in compile_into(folder, Path(self.root)):
            build_data["force_include"][str(folder / library)] = library
        build_data["pure_python"], build_data["infer_tag"] = False, True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if self._made:
            self._made.cleanup()
