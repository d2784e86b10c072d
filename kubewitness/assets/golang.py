"""The Go toolchain that this host has: asked and run, with its errors in one line."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubewitness.assets.recipes import architecture

REPORT_EVERY_S: Final = 5.0
KEPT_LINES: Final = 10


class GoError(Exception):
    """Go refused. The message has the end of what it said."""


class MissingModuleError(GoError):
    """A module of that version is not to be had where Go looks for modules."""


class NoSpaceError(GoError):
    """A file system that Go writes to is full. `path` is where it stopped, if Go said so."""

    def __init__(self, message: str, path: Path | None) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The `go` command."""

    command: str

    @classmethod
    def find(cls) -> "Toolchain | None":
        found = shutil.which("go")
        return cls(found) if found else None

    def versions(self, *modules: str) -> dict[str, set[str]]:
        """The released versions of each module, without the leading v."""
        text = self.ask("list", "-m", "-versions", "-json", *modules)
        found = {}
        while text := text.strip():
            answer, end = json.JSONDecoder().raw_decode(text)
            text = text[end:]
            listed = (re.fullmatch(r"v(\d+\.\d+\.\d+)", version) for version in answer.get("Versions", []))
            found[answer["Path"]] = {match[1] for match in listed if match}
        return found

    def requirements(self, module: str, version: str) -> dict[str, Any]:
        """A module's go.mod, as `go mod edit -json` prints it."""
        known = json.loads(self.ask("list", "-m", "-json", f"{module}@v{version}"))
        if "GoMod" not in known:  # Go has heard of the version, but its go.mod is not to be had
            raise MissingModuleError(f"{module}@v{version} has no go.mod")
        parsed: dict[str, Any] = json.loads(self.ask("mod", "edit", "-json", known["GoMod"]))
        return parsed

    def ask(self, *arguments: str) -> str:
        """The output of one quick command, run where no go.mod is."""
        done = subprocess.run(
            [self.command, *arguments],
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise failure(done.stderr.splitlines())
        return done.stdout

    @contextlib.contextmanager
    def start(self, arguments: Sequence[str], folder: Path, **environment: str) -> Iterator["Run"]:
        """Run in `folder`; killed with all its children if left early."""
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        output = folder / "go.out"
        with output.open("w") as out:
            process = subprocess.Popen(
                [self.command, *arguments],
                cwd=folder,
                # What Go leaves when it is killed lies in our folder, and goes with it.
                env=_environment() | environment | {"GOTMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                # A pipe, not a file: Go ends at its next line when this process was killed.
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        try:
            yield Run(process, output)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Run:
    """A running command of Go. Its standard error is read all the time, so that it never blocks."""

    def __init__(self, process: "subprocess.Popen[str]", output: Path) -> None:
        self._process = process
        self._output = output
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, report: Callable[[int], None]) -> str:
        """The standard output, once it has ended well; `report` gets the lines of standard error so far."""
        while self._reader.is_alive():
            self._reader.join(REPORT_EVERY_S)
            if self._reader.is_alive():
                report(len(self._errors))
        if self._process.wait():
            raise failure(self._errors)
        return self._output.read_text()

    def _read(self) -> None:
        if self._process.stderr is not None:
            with self._process.stderr as lines:
                self._errors.extend(line.rstrip() for line in lines)


def failure(lines: Sequence[str]) -> GoError:
    """The error that Go's last lines tell of."""
    told = [line.strip() for line in lines if line.strip() and not _is_chatter(line)]
    text = "; ".join(told[-KEPT_LINES:])
    if match := re.search(r"(/[^\s:]+): no space left on device", text):
        return NoSpaceError(text, Path(match[1]))
    if "no space left on device" in text:
        return NoSpaceError(text, None)
    if re.search(r"reading \S+: (403|404|410) ", text) or "unknown revision" in text:
        return MissingModuleError(text)
    return GoError(text or "it ended without a word")


def _is_chatter(line: str) -> bool:
    """Progress: names of packages and of downloads."""
    return line.startswith("go: downloading ") or re.fullmatch(r"[\w.~/-]+", line) is not None


def _environment() -> dict[str, str]:
    """The caller's, less what would lead a build to another target or another go.mod."""
    return os.environ | {"GOOS": "linux", "GOARCH": architecture(), "GOWORK": "off", "GO111MODULE": "on"}


def elapsed(since: float) -> str:
    """Since a time of the monotonic clock, as "1:05"."""
    minutes, seconds = divmod(int(time.monotonic() - since), 60)
    return f"{minutes}:{seconds:02}"
