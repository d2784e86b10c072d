"""Where fuzzing begins: what the decoders are made for."""

from __future__ import annotations

import gzip
import struct

from kubewitness.capture import pcapng
from kubewitness.capture.files import Packet
from tests.fuzz.targets import TARGETS
from tests.wire.grpc_traffic import Side, client_start, data, header, message, txn
from tests.wire.test_decoder import traffic
from tests.wire.test_tls import CLIENT_HELLO, TLS13, record, server_hello
from tests.wire.traffic import chunked, pod_bytes, proto, request, response, watch_head

_CBOR_EVENT = bytes.fromhex("d9d9f7a24474797065454144444544466f626a656374d9d9f7a1446b696e6443506f64")
_CBOR = bytes.fromhex(
    "d9d9f7bf41610141629f01fb3ff199999999999af6f5ff6163d6420001c11a514b67b0c06b323031332d30332d323154ff"
)
_YAML = b"# applied\na: &x {b: [1, 0x1f, 1e+3, ~, on]}\nc: *x\n<<: *x\nd: |\n  text\n'e': !!str 2026-01-02\n"
EVENT = b'{"type":"ADDED","object":{"kind":"Pod"}}\n'


def step(number: int, content: bytes) -> bytes:
    """As targets.steps reads it, in as many as its length takes."""
    parts = [content[at : at + 255] for at in range(0, len(content), 255)] or [b""]
    return b"".join(bytes([number, len(part)]) + part for part in parts)


def _pcapng() -> bytes:
    """Packets of two interfaces, and what these counted."""
    packets = pcapng.Packets()
    blocks = [
        packets.block(Packet(10**18, 1, frame, len(frame), name))
        for frame, name in zip(traffic()[:2], ("lo", "br0"), strict=True)
    ]
    told = packets.statistics(10**18, 10**18 + 1, {"lo": 1, "br0": 1}, 3)
    return pcapng.section("x") + b"".join(blocks) + told


def _damaged_watch() -> bytes:
    return watch_head("application/cbor-seq") + chunked([_CBOR_EVENT + _CBOR + b"\xff", _CBOR_EVENT])


def seeds(target: str) -> list[bytes]:
    assert target in TARGETS
    client, server = Side(), Side()
    call = client_start() + client.call(
        1, "/etcdserverpb.KV/Txn", txn("/registry/pods/d/p", pod_bytes("p"), 0)
    )
    answer = server.answer(1, proto((1, header(2)), (2, 1)))
    asked, answered = request("POST", "/api/v1/namespaces/d/pods", EVENT), response(201, EVENT)
    watching = request("GET", "/api/v1/pods?watch=1"), watch_head() + chunked([EVENT] * 3)
    hello = record(server_hello(0x1301, TLS13))
    pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    return {
        "files": [
            pcap
            + b"".join(struct.pack("<IIII", 1, 2, len(each), len(each)) + each for each in traffic()[:9]),
            _pcapng(),
        ],
        "packets": [b"".join(step(2, each) for each in traffic() if len(each) < 256)],
        "connection": [
            b"\0" + step(128, asked) + step(129, answered) + step(128, watching[0]) + step(129, watching[1]),
            b"\1" + step(128, call) + step(129, answer),
            b"\2" + step(128, CLIENT_HELLO) + step(129, hello),
            b"\0"
            + step(128, watching[0])
            + step(129, _damaged_watch())
            + step(128, asked)
            + step(129, answered),
        ],
        "http1": [
            step(0, asked) + step(0, watching[0]),
            step(1, answered) + step(1, watching[1]),
            step(1, watching[1][:-2] + b"Digest: x\r\n\r\n"),
        ],
        "http2": [step(0, call) + step(1, answer) + step(0, data(3, b"x", pad=3))],
        "grpc": [step(0, message(gzip.compress(b"x" * 99), compressed=True) + message(b"abc"))],
        "etcd": [
            b"\1" + txn("/registry/pods/d/p", pod_bytes("p"), 0),
            b"\1" + proto((1, header(2)), (2, 1)),
            b"\3" + proto((1, "/registry/a"), (2, b"k8s:enc:kms:v2:vault:x")),
            b"\4" + proto((1, header(2)), (2, proto((1, 3), (2, "m"), (3, "http://a")))),
        ],
        "tls": [step(0, CLIENT_HELLO) + step(1, hello) + step(1, b"\x17\x03\x03\x00\x20" + bytes(32))],
        "bodies": [pod_bytes("p"), EVENT, _CBOR_EVENT, _YAML, b'[{"op": "test", "path": "/a", "value": 1}]'],
        "cbor": [_CBOR_EVENT, _CBOR],
        "yaml": [_YAML, EVENT, b"- - a\n  - b: {c: 'd', \"e\": [f, -1]}\n- >-\n  folded\n"],
        "watch": [
            step(0, struct.pack(">I", 9) + b"k8s\0" + bytes(5)),
            step(0, gzip.compress(EVENT * 3)),
            step(0, _CBOR_EVENT * 2 + _CBOR),
        ],
        "frames": traffic()[:6],
    }[target]
