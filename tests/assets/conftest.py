"""A host with a cache of its own, a made-up Go and a made-up release site; nothing real is reached."""

import platform
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.assets.made_up_go import Go, install
from tests.assets.made_up_site import Site


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
    return install(tmp_path / "bin", tmp_path / "go")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The made-up release site, named as the mirror."""
    site = Site()
    with site.served() as address:
        monkeypatch.setenv("KUBEWITNESS_MIRROR", address)
        yield site
