"""A port of the host leads into the cluster, and one that is taken is told before a cluster is made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness import cli
from kubewitness.clusters import forward


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def published(target: socket.socket, tmp_path: Path) -> Iterator[int]:
    """A port that is passed on to ``target``."""
    port = cli._free_port(0)
    argv = [sys.executable, "-I", "-S", forward.__file__, str(port), *map(str, target.getsockname())]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
            assert told.recv(64) == b"READY=1"
            yield port
            process.kill()


def test_bytes_pass_both_ways_until_one_side_ends(target: socket.socket, published: int) -> None:
    with socket.create_connection(("127.0.0.1", published)) as client:
        inside, _ = target.accept()
        with inside:
            client.sendall(b"question")
            assert inside.recv(64) == b"question"
            inside.sendall(b"answer")
            assert client.recv(64) == b"answer"
        assert client.recv(64) == b""


def test_a_target_that_is_gone_ends_the_connection(target: socket.socket, published: int) -> None:
    target.close()
    with socket.create_connection(("127.0.0.1", published)) as client:
        assert client.recv(64) == b""


def test_a_port_in_use_is_one_message(
    target: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kubewitness.clusters.doctor.require", lambda *_, **__: None)
    taken = target.getsockname()[1]
    assert cli.main(["up", "--publish", str(taken)]) == cli.EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kubewitness: --publish {taken}: port {taken} of 127.0.0.1 cannot be had")
    assert line.endswith("or 0 for any free one")
