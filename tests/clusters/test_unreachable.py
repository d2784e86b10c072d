"""What is told when an API server does not answer, or breaks off."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from kubewitness.clusters.api import Api, Unreachable, pods


def api_of(directory: Path, address: tuple[str, int]) -> Api:
    file = directory / "kubeconfig"
    server = {"server": f"http://{address[0]}:{address[1]}"}
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "x", "cluster": server}],
                "users": [{"name": "x", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "current-context": "x",
            }
        )
    )
    return Api(file)


def answering(server: socket.socket, said: bytes) -> threading.Thread:
    """Reads one request, says this and hangs up."""

    def answer() -> None:
        with server.accept()[0] as client:
            client.recv(1 << 16)
            client.sendall(said)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_nobody_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    api = api_of(tmp_path, address)
    with pytest.raises(Unreachable) as told:
        api.get("/version")
    assert str(told.value) == (
        f"GET /version: the API server at http://127.0.0.1:{address[1]} cannot be reached:"
        " Failed to establish a new connection: [Errno 111] Connection refused"
    )
    api.close()


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"], ids=["none", "half"]
)
def test_an_answer_that_breaks_off(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = api_of(tmp_path, server.getsockname())
        thread = answering(server, said)
        with pytest.raises(
            Unreachable, match=r"GET /version: the API server at .* cannot be reached: "
        ) as told:
            api.get("/version")
        thread.join()
    assert "object at 0x" not in str(told.value)
    api.close()


def test_a_watch_that_breaks_off(tmp_path: Path) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = api_of(tmp_path, server.getsockname())
        thread = answering(server, said)
        with pytest.raises(Unreachable, match="GET /api/v1/namespaces/d/pods: "):
            list(api.watch(pods("d"), "1", "", time.monotonic() + 60))
        thread.join()
    api.close()
