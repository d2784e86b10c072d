"""What tshark makes of a capture: the messages of HTTP/1.1 and HTTP/2, with their bodies' bytes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

PORTS_HTTP1, PORTS_HTTP2 = (8080,), (2379,)
_SETTINGS = ("tcp.reassemble_out_of_order:TRUE", "http.decompress_body:TRUE")
_WATCHED = re.compile(r"[?&]watch=(1|true)\b")


class Message(NamedTuple):
    """One half of an exchange. ``stream`` is HTTP/2's, 0 in HTTP/1.1."""

    connection: tuple[tuple[str, int], tuple[str, int]]  # client and server
    stream: int
    method: str  # of a request
    path: str
    status: int  # of a response
    sha256: str  # of the body; "" if it is empty


def version() -> str:
    if shutil.which("tshark") is None:
        raise RuntimeError("wanted tshark (Debian: apt-get install tshark), found none on PATH")
    return subprocess.run(
        ["tshark", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if body else ""


def http1(capture: Path, keys: Path | None = None) -> list[Message]:
    """Messages of HTTP/1.1 that are complete, but for the answers to watches, which ours tell before that."""
    found = []
    for layers in _layers(capture, "http.request || http.response", "http tcp ip ipv6", keys):
        ends = _ends(layers)
        for layer in _every(layers, "http"):
            body = digest(_bytes(layer, "http.file_data_raw"))
            if method := _text(layer, "http.request.method"):
                path = unquote(_text(layer, "http.request.uri").partition("?")[0])
                found.append(Message(ends, 0, method, path, 0, body))
            elif not _WATCHED.search(_text(layer, "http.response_for.uri")):
                status = int(_text(layer, "http.response.code"))
                found.append(Message((ends[1], ends[0]), 0, "", "", status, body))
    # It finds HTTP on any port, such as that of a kubelet's health.
    return [each for each in found if each.connection[1][1] in (*PORTS_HTTP1, 6443)]


def http2(capture: Path, keys: Path | None = None) -> list[Message]:
    """Both halves of each stream of HTTP/2 that has ended, in the order of their ends."""
    heads: dict[tuple[Any, int, bool], Message] = {}
    bodies: dict[tuple[Any, int, bool], bytes] = {}
    ended: list[Message] = []
    for layers in _layers(capture, "http2", "http2 tcp ip ipv6", keys):
        sender, receiver = _ends(layers)
        for layer in _every(layers, "http2"):
            for frame in _every(layer, "http2.stream"):
                stream = int(_text(frame, "http2.streamid") or 0)
                to_server = receiver[1] in (*PORTS_HTTP2, 6443)
                connection = (sender, receiver) if to_server else (receiver, sender)
                key = connection, stream, to_server
                method = _text(frame, "http2.headers.method")
                status = _text(frame, "http2.headers.status")
                if method or (status and int(status) >= 200):
                    path = _text(frame, "http2.headers.path")
                    heads[key] = Message(connection, stream, method, path, int(status or 0), "")
                content = _bytes(frame, "http2.data.data_raw")
                # With a body's last frame comes the whole of it, where it has several.
                whole = any(_deep(frame, "http2.body.fragments"))
                bodies[key] = content if whole else bodies.get(key, b"") + content
                if _flag(frame, "http2.flags.end_stream") and key in heads:
                    ended.append(heads.pop(key)._replace(sha256=digest(bodies.pop(key))))
    return ended


Pairs = Sequence[tuple[str, Any]]


def _layers(capture: Path, wanted: str, names: str, keys: Path | None) -> Iterator[Pairs]:
    argv = ["tshark", "-r", str(capture), "-Y", wanted, "-T", "json", "-x", "-J", names]
    for port in PORTS_HTTP1:
        argv += ["-d", f"tcp.port=={port},http"]
    for port in PORTS_HTTP2:
        argv += ["-d", f"tcp.port=={port},{'tls' if keys else 'http2'}"]
    for setting in (*_SETTINGS, *([f"tls.keylog_file:{keys}"] if keys else [])):
        argv += ["-o", setting]
    told = subprocess.run(argv, capture_output=True, check=True).stdout
    # Names are repeated where there are several of a kind, so that objects are lists of pairs.
    for packet in json.loads(told, object_pairs_hook=list):
        yield _one(_one(packet, "_source"), "layers")


def _every(pairs: Pairs, name: str) -> list[Pairs]:
    return [value for key, value in pairs if key == name]


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, tuple) for each in value)


def _one(pairs: Pairs, name: str) -> Any:
    return next((value for key, value in pairs if key == name), [])


def _deep(pairs: Any, name: str) -> Iterator[Any]:
    if not _is_pairs(pairs):
        return
    for key, value in pairs:
        if key == name:
            yield value
        yield from _deep(value, name)


def _text(pairs: Pairs, name: str) -> str:
    return str(next(_deep(pairs, name), ""))


def _flag(pairs: Pairs, name: str) -> bool:
    return _text(pairs, name) in ("1", "True")


def _bytes(pairs: Pairs, name: str) -> bytes:
    raw = next(_deep(pairs, name), None)
    return bytes.fromhex(raw[0]) if raw else b""


def _ends(layers: Pairs) -> tuple[tuple[str, int], tuple[str, int]]:
    tcp = _one(layers, "tcp")
    ip = _one(layers, "ip")
    source, target = (
        _text(ip, f"ip.{each}") if ip else _text(_one(layers, "ipv6"), f"ipv6.{each}")
        for each in ("src", "dst")
    )
    return (source, int(_text(tcp, "tcp.srcport"))), (target, int(_text(tcp, "tcp.dstport")))
