"""Made-up traffic for the tests of the decoder: packets from bytes, and a decoder to feed them to."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise

from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import Endpoint, Observation, Speaker
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.tls import KeyLog

API, API_TLS, ETCD = 8080, 6443, 2379
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
STATISTICS = CaptureStatistics(packets=0, dropped=0, interfaces=("lo",))


def packet(source: Endpoint, target: Endpoint, seq: int, ack: int, flags: int, payload: bytes = b"") -> bytes:
    """An Ethernet frame; checksums are left 0, as offloading leaves them."""
    ports = struct.pack("!HH", source.port, target.port)
    numbers = struct.pack("!IIBBHHH", seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 65535, 0, 0)
    tcp = ports + numbers + payload
    addresses = ip_address(source.ip).packed + ip_address(target.ip).packed
    if ":" in source.ip:
        return bytes(12) + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + addresses + tcp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, (20 + len(tcp)) & 0xFFFF, 0, 0x4000, 64, 6, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + tcp


@dataclass
class Talk:
    """One TCP connection. Every method gives the packets that it takes, for ``feed``."""

    port: int = API
    client_port: int = 40000
    client_isn: int = 1000
    server_isn: int = 5000
    ip: str = "127.0.0.1"
    sent: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def ends(self, *, to_server: bool) -> tuple[Endpoint, Endpoint]:
        client, server = Endpoint(self.ip, self.client_port), Endpoint(self.ip, self.port)
        return (client, server) if to_server else (server, client)

    def raw(self, flags: int, payload: bytes = b"", *, to_server: bool, at: int) -> bytes:
        """A packet whose payload begins at stream offset ``at``."""
        mine, theirs = self.client_isn, self.server_isn
        if not to_server:
            mine, theirs = theirs, mine
        ack = theirs + 1 + self.sent[not to_server]
        return packet(*self.ends(to_server=to_server), mine + 1 + at, ack, flags, payload)

    def open(self) -> list[bytes]:
        client, server = self.ends(to_server=True)
        return [
            packet(client, server, self.client_isn, 0, SYN),
            packet(server, client, self.server_isn, self.client_isn + 1, SYN | ACK),
            self.raw(ACK, to_server=True, at=0),
        ]

    def say(self, payload: bytes, *, to_server: bool, cuts: Iterable[int] = ()) -> list[bytes]:
        """The payload in segments that end at ``cuts`` (offsets) and at its end."""
        start = self.sent[to_server]
        borders = [0, *sorted({cut for cut in cuts if 0 < cut < len(payload)}), len(payload)]
        packets = [
            self.raw(ACK | PSH, payload[low:high], to_server=to_server, at=start + low)
            for low, high in pairwise(borders)
        ]
        self.sent[to_server] += len(payload)
        return packets

    def ask(self, payload: bytes, cuts: Iterable[int] = ()) -> list[bytes]:
        return self.say(payload, to_server=True, cuts=cuts)

    def answer(self, payload: bytes, cuts: Iterable[int] = ()) -> list[bytes]:
        return self.say(payload, to_server=False, cuts=cuts)

    def acknowledge(self, *, to_server: bool) -> bytes:
        """The sender of this packet has everything that the other end has said."""
        return self.raw(ACK, to_server=to_server, at=self.sent[to_server])

    def close(self) -> list[bytes]:
        packets = [self.raw(FIN | ACK, to_server=True, at=self.sent[True])]
        self.sent[True] += 1
        packets.append(self.raw(FIN | ACK, to_server=False, at=self.sent[False]))
        self.sent[False] += 1
        return [*packets, self.raw(ACK, to_server=True, at=self.sent[True])]


def speaker_of(local: Endpoint, _remote: Endpoint, _opened_ns: int) -> Speaker:
    if local.port in (API, ETCD):
        return Speaker("kube-apiserver" if local.port == API else "etcd", 1)
    return Speaker("kube-scheduler", 2)


def decoder(keys: KeyLog | None = None) -> Decoder:
    return Decoder(frozenset({API, API_TLS}), frozenset({ETCD}), speaker_of, keys)


def feed(
    packets: Iterable[bytes], into: Decoder | None = None, first: int = 1
) -> tuple[Decoder, list[Observation]]:
    """Feed packets, numbered from ``first``, one microsecond apart."""
    into = into or decoder()
    seen: list[Observation] = []
    for frame, data in enumerate(packets, first):
        seen += into.feed(frame, frame * 1000, data)
    return into, seen


def history(packets: Iterable[bytes], keys: KeyLog | None = None) -> History:
    return feed(packets, decoder(keys))[0].finish(STATISTICS)


def request(
    method: str, uri: str, body: bytes = b"", content_type: str = "application/json", extra: str = ""
) -> bytes:
    head = f"{method} {uri} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: {content_type}\r\n{extra}"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{head}{length}\r\n".encode() + body


def response(
    status: int, body: bytes = b"", content_type: str = "application/json", extra: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {content_type}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(parts: Iterable[bytes], *, last: bool = True) -> bytes:
    """A chunked body."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return body + b"0\r\n\r\n" if last else body


def watch_head(content_type: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def proto(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protobuf message of (field number, value): varints and length-delimited values."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def kubernetes(api_version: str, kind: str, raw: bytes) -> bytes:
    """An object as it is stored and sent: the magic, then runtime.Unknown."""
    type_meta = proto((1, api_version), (2, kind))
    return b"k8s\x00" + proto((1, type_meta), (2, raw), (3, ""), (4, ""))


def pod_bytes(name: str, node: str = "", version: str = "7") -> bytes:
    """A Pod as Go writes it: empty scalars included."""
    created = proto((1, 1_700_000_000), (2, 0))
    metadata = proto(
        (1, name), (2, ""), (3, "default"), (4, ""), (5, f"uid-{name}"), (6, version), (7, 0), (8, created)
    )
    spec = proto((2, proto((1, "main"), (2, "pause"), (8, b""))), (3, "Always"), (10, node), (11, 0))
    return kubernetes("v1", "Pod", proto((1, metadata), (2, spec), (3, proto((1, "Pending")))))
