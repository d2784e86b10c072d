"""A made-up site of official releases: Kubernetes 1.37.2 and its etcd."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kubewitness.assets.recipes import KUBERNETES_COMMANDS


@dataclass(frozen=True, slots=True)
class Site:
    """Its files by path, and the paths that were asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files["/dl.k8s.io/release/stable-1.37.txt"] = b"v1.37.2\n"
        for name in KUBERNETES_COMMANDS:
            path = f"/dl.k8s.io/v1.37.2/bin/linux/amd64/{name}"
            self.publish(path, f"released {name}".encode(), f"{path}.sha256")
        base = "/github.com/etcd-io/etcd/releases/download/v3.7.0"
        etcd = _tar_with("etcd-v3.7.0-linux-amd64/etcd", b"released etcd")
        self.publish(f"{base}/etcd-v3.7.0-linux-amd64.tar.gz", etcd, f"{base}/SHA256SUMS")

    def publish(self, path: str, content: bytes, checksums: str) -> None:
        """A file, and the list with its checksum."""
        self.files[path] = content
        line = f"{hashlib.sha256(content).hexdigest()}  {path.rsplit('/', 1)[1]}\n"
        self.files[checksums] = line.encode()

    @contextmanager
    def served(self) -> Iterator[str]:
        """Answer on a free loopback port; the address."""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                content = site.files.get(self.path, b"")
                self.send_response(200 if content else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


def _tar_with(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        header = tarfile.TarInfo(member)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
    return buffer.getvalue()
