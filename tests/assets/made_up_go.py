"""A made-up `go` command that records what it is asked, builds nothing and can be told to wait or to fail."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

WRITES_KEYS = """\
func (c *Config) writeKeyLog(label string) error {
	if c.KeyLogWriter == nil {
		return nil
	}
	_, err := c.KeyLogWriter.Write(logLine)
"""

FAKE_GO = """#!{python} -IS
import json, os, pathlib, re, shutil, sys
home = pathlib.Path({home!r})
arguments = sys.argv[1:]
with (home / "calls").open("a") as calls:
    print(os.getpid(), *arguments, file=calls)
packages = [word for word in arguments if "/" in word and not word.startswith("-") and not word.endswith("/")]
if "-versions" in arguments:
    listed = ["v1.13.0", "v1.37.1", "v1.37.2", "v1.37.3-rc.0", "v1.36.3"]
    print(json.dumps({{"Path": "k8s.io/kubernetes", "Versions": listed}}))
    print(json.dumps({{"Path": "k8s.io/api", "Versions": ["v0.37.2", "v0.29.6", "v0.29.15"]}}))
elif arguments[:3] == ["list", "-m", "-json"]:
    unknown = (home / "unknown").exists() and arguments[3].endswith((home / "unknown").read_text())
    print(json.dumps({{}} if unknown else {{"GoMod": "/made-up/go.mod"}}))
elif arguments[:4] == ["list", "-mod=mod", "-m", "-json"]:
    print(json.dumps({{"Dir": str(home / "module")}}))
elif arguments[0] == "run":
    given = dict(zip(arguments[3::2], arguments[4::2]))
    folder = pathlib.Path(given["--output-base"], given["--output-package"])
    folder.mkdir(parents=True)
    (folder / (given["--output-file-base"] + ".go")).write_text("made of " + given["--input-dirs"])
elif arguments == ["env", "GOROOT"]:
    print(home / "root")
elif arguments[:2] == ["mod", "edit"]:
    print(json.dumps({{"Go": "1.26.0"}}))
elif arguments[0] == "list" and (home / "missing").exists() and (home / "missing").read_text() in os.getcwd():
    sys.exit("k8s.io/x@v0.29.15: reading https://made.up/k8s.io/x/@v/v0.29.15.zip: 403 Forbidden")
elif arguments[0] == "list":
    for package in packages:
        version = home / "version"
        print(package, home, version.read_text() if version.exists() else "v1.37.2", sep="\\t")
elif arguments[0] == "build":
    if (home / "gate").exists():
        (home / "started").open("w").close()  # blocks until a test reads: the build is under way
        (home / "gate").open().close()        # blocks until a test writes: let it go on
    if (home / "complaint").exists():
        sys.exit((home / "complaint").read_text())
    shutil.copytree(".", home / "built", dirs_exist_ok=True)
    folder = pathlib.Path(arguments[arguments.index("-o") + 1])
    for package in arguments[arguments.index("-o") + 2:]:
        name = re.sub("/v[0-9]+$", "", package).rsplit("/", 1)[1]
        (folder / name).write_text("built " + package)
"""


@dataclass(frozen=True, slots=True)
class Go:
    """The made-up Go: what it was asked, and how to make it fail or wait."""

    home: Path

    @property
    def calls(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [line.split(" ", 1)[1] for line in (self.home / "calls").read_text().splitlines()]
        return []

    @property
    def builds(self) -> list[str]:
        return [call for call in self.calls if call.startswith("build ")]

    @property
    def pids(self) -> list[int]:
        return [int(line.split(" ", 1)[0]) for line in (self.home / "calls").read_text().splitlines()]

    def fill_module(self, module: str) -> None:
        """Let a module have a package that asks for a generated one, in folders that nobody may write to."""
        (self.home / "doc.go").write_text("// +k8s:openapi-gen=true\npackage made\n")
        folder = self.home / "module" / "pkg" / "generated" / "openapi"
        folder.mkdir(parents=True)
        (folder / "doc.go").write_text(f"package openapi // of {module}\n")
        folder.chmod(0o555)

    def have_tls(self, source: str) -> Path:
        """Let the toolchain have this crypto/tls/common.go; its folder."""
        tls = self.home / "root" / "src" / "crypto" / "tls"
        tls.mkdir(parents=True)
        (tls / "common.go").write_text(source)
        return tls

    @property
    def built(self) -> Path:
        """A copy of the folder in which the last build ran, as it began."""
        return self.home / "built"

    def list_version(self, version: str) -> None:
        """Let every package be of a module of that version."""
        (self.home / "version").write_text(version)

    def complain(self, text: str) -> None:
        """Fail every build with this on standard error."""
        (self.home / "complaint").write_text(text)

    def miss_modules_of(self, version: str) -> None:
        """Fail to fetch the modules of that version of Kubernetes."""
        (self.home / "missing").write_text(version)

    def lack_go_mod_of(self, version: str) -> None:
        """Know of that version, but not its go.mod."""
        (self.home / "unknown").write_text(version)

    def hold_builds(self) -> None:
        """Make every build wait until `let_go`."""
        os.mkfifo(self.home / "started")
        os.mkfifo(self.home / "gate")

    def await_build(self) -> None:
        (self.home / "started").open().close()

    def let_go(self) -> None:
        (self.home / "gate").open("w").close()


def install(folder: Path, home: Path) -> Go:
    """Put it into a folder that is on PATH."""
    home.mkdir()
    command = folder / "go"
    command.write_text(FAKE_GO.format(python=sys.executable, home=str(home)))
    command.chmod(0o755)
    return Go(home)
