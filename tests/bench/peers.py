"""What others make of HTTP/1.1 in a capture, each as its own documentation says to use it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.config import conf
from scapy.layers.http import HTTP, HTTPRequest, HTTPResponse
from scapy.layers.inet import TCP
from scapy.layers.tls.record import TLS, TLSApplicationData
from scapy.layers.tls.record_tls13 import TLS13
from scapy.packet import bind_layers
from scapy.sendrecv import sniff
from scapy.sessions import TCPSession

from tests.wire.traffic import API, API_TLS

dpkt_ = pytest.importorskip("dpkt", reason="wanted dpkt, which only tox -e bench-wire installs")

bind_layers(TCP, HTTP, sport=API)
bind_layers(TCP, HTTP, dport=API)
bind_layers(TCP, TLS, sport=API_TLS)
bind_layers(TCP, TLS, dport=API_TLS)


class Message(NamedTuple):
    """A request (method and path) or a response (status), and its body."""

    method: str
    path: str
    status: int
    body: bytes


def scapy(capture: Path) -> list[Message]:
    told: list[Message] = []

    def tell(packet: object) -> None:
        if HTTPRequest in packet:  # type: ignore[operator]
            asked = packet[HTTPRequest]  # type: ignore[index]
            told.append(Message(asked.Method.decode(), asked.Path.decode(), 0, bytes(asked.payload)))
        elif HTTPResponse in packet:  # type: ignore[operator]
            answer = packet[HTTPResponse]  # type: ignore[index]
            told.append(Message("", "", int(answer.Status_Code), bytes(answer.payload)))

    sniff(offline=str(capture), session=TCPSession, prn=tell, store=False)
    return told


def scapy_tls(capture: Path, secrets: Path) -> list[bytes]:
    """What was said under TLS: by the client, by the server."""
    said = {True: b"", False: b""}
    conf.tls_session_enable, conf.tls_nss_filename = True, str(secrets)
    conf.tls_nss_keys = None  # type: ignore[assignment]

    def tell(packet: object) -> None:
        for layer in packet.iterpayloads():  # type: ignore[attr-defined]
            if isinstance(layer, TLS13) and layer.inner:
                for message in layer.inner.msg:
                    if isinstance(message, TLSApplicationData):
                        said[packet[TCP].dport == API_TLS] += message.data  # type: ignore[index]

    sniff(offline=str(capture), session=TCPSession, prn=tell, store=False)
    return [said[True], said[False]]


def dpkt_messages(messages: list[tuple[bool, bytes]]) -> list[Message]:
    """Of single messages, since dpkt takes all that follows a GET for its body: (is a request, bytes)."""
    told = []
    for of_client, data in messages:
        if of_client:
            asked = dpkt_.http.Request(data)
            told.append(Message(asked.method, asked.uri, 0, asked.body))
        else:
            answer = dpkt_.http.Response(data)
            told.append(Message("", "", int(answer.status), answer.body))
    return told


def dpkt(capture: Path) -> list[Message]:
    """Packets that each hold a whole message, since dpkt puts no streams together."""
    with capture.open("rb") as file:
        payloads = (dpkt_.ethernet.Ethernet(data).data.data for _, data in dpkt_.pcap.Reader(file))
        return dpkt_messages([(tcp.dport == API, tcp.data) for tcp in payloads if tcp.data])


def dpkt_packets(capture: Path) -> list[bytes]:
    """As far as dpkt comes with segments: what each carries."""
    with capture.open("rb") as file:
        return [dpkt_.ethernet.Ethernet(data).data.data.data for _, data in dpkt_.pcap.Reader(file)]


def tshark(capture: Path) -> bytes:
    """Lines of fields, the body among them."""
    fields = ("http.request.method", "http.request.uri", "http.response.code", "http.file_data")
    argv = ["tshark", "-r", str(capture), "-d", f"tcp.port=={API},http", "-Y", "http", "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    return subprocess.run(argv, capture_output=True, check=True).stdout
