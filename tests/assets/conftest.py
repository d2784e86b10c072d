"""A host with a cache of its own, a made-up Go and a made-up release site; nothing real is reached."""

import contextlib
import hashlib
import http.server
import io
import os
import platform
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubewitness.assets.recipes import KUBERNETES_COMMANDS

FAKE_GO = """#!{python}
import json, os, pathlib, sys
home = pathlib.Path({home!r})
arguments = sys.argv[1:]
with (home / "calls").open("a") as calls:
    print(os.getpid(), *arguments, file=calls)
packages = [word for word in arguments if "/" in word and not word.startswith("-") and not word.endswith("/")]
if "-versions" in arguments:
    print(json.dumps({{"Versions": ["v1.13.0", "v1.37.1", "v1.37.2", "v1.37.3-rc.0", "v1.36.3"]}}))
elif arguments[:3] == ["list", "-m", "-json"]:
    print(json.dumps({{"GoMod": "/made-up/go.mod"}}))
elif arguments[:2] == ["mod", "edit"]:
    print(json.dumps({{"Go": "1.26.0"}}))
elif arguments[0] == "list":
    for package in packages:
        print(package, home, "v1.37.2", sep="\\t")
elif arguments[0] == "build":
    if (home / "gate").exists():
        (home / "started").open("w").close()  # blocks until a test reads: the build is under way
        (home / "gate").open().close()        # blocks until a test writes: let it go on
    if (home / "complaint").exists():
        sys.exit((home / "complaint").read_text())
    folder = pathlib.Path(arguments[arguments.index("-o") + 1])
    for package in packages:
        if package in arguments[arguments.index("-o") + 2:]:
            (folder / package.rsplit("/", 1)[1]).write_text("built " + package)
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

    def complain(self, text: str) -> None:
        """Fail every build with this on standard error."""
        (self.home / "complaint").write_text(text)

    def hold_builds(self) -> None:
        """Make every build wait until `let_go`."""
        os.mkfifo(self.home / "started")
        os.mkfifo(self.home / "gate")

    def await_build(self) -> None:
        (self.home / "started").open().close()

    def let_go(self) -> None:
        (self.home / "gate").open("w").close()


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without Go, network or named directories; the path of its cache."""
    for variable in ("KUBEWITNESS_ASSETS", "KUBEBUILDER_ASSETS", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KUBEWITNESS_MIRROR", f"http://127.0.0.1:{closed.getsockname()[1]}")
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("KUBEWITNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Put a made-up Go on PATH."""
    home = tmp_path / "go"
    home.mkdir()
    command = tmp_path / "bin" / "go"
    command.write_text(FAKE_GO.format(python=sys.executable, home=str(home)))
    command.chmod(0o755)
    return Go(home)


@dataclass(frozen=True, slots=True)
class Site:
    """A made-up release site: its files by path, and the paths that were asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, path: str, content: bytes, checksums: str | None = None) -> None:
        """A file and the file with its checksum."""
        self.files[path] = content
        self.files[checksums or f"{path}.sha256"] = (
            f"{hashlib.sha256(content).hexdigest()}  {path.rsplit('/', 1)[1]}\n".encode()
        )


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve a made-up Kubernetes 1.37.2 and etcd on a free loopback port."""
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            content = site.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("KUBEWITNESS_MIRROR", f"http://127.0.0.1:{server.server_port}")
        site.files["/dl.k8s.io/release/stable-1.37.txt"] = b"v1.37.2\n"
        for name in KUBERNETES_COMMANDS:
            site.publish(f"/dl.k8s.io/v1.37.2/bin/linux/amd64/{name}", f"released {name}".encode())
        base = "/github.com/etcd-io/etcd/releases/download/v3.7.0"
        site.publish(
            f"{base}/etcd-v3.7.0-linux-amd64.tar.gz",
            tar_with("etcd-v3.7.0-linux-amd64/etcd", b"released etcd"),
            f"{base}/SHA256SUMS",
        )
        yield site
        server.shutdown()
        thread.join()


def tar_with(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        header = tarfile.TarInfo(member)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
    return buffer.getvalue()
