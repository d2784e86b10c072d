from __future__ import annotations

import json
import ssl
import struct
from collections import Counter
from pathlib import Path

import pytest

from kubewitness.model.observation import ApiRequest, ApiResponse, Connection, Tls, Undecoded
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.tls import KeyLog
from kubewitness.wire.tls.ciphers import Opener13
from tests.wire.grpc_traffic import Side, client_start, data
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import (
    STATISTICS,
    Talk,
    chunked,
    decoder,
    feed,
    history,
    request,
    response,
    watch_head,
)

POD = b'{"kind":"Pod"}'
DATA = Path(__file__).with_name("data")
PORT = struct.pack("!H", 6443)


def tls_of(connection: Connection) -> tuple[str, str]:
    assert connection.tls
    return connection.tls.version, connection.tls.cipher


def asking(method: str, path: str) -> list[tuple[str, str]]:
    own = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "kubernetes")]
    return [*own, ("content-type", "application/json")]


def answering(status: str) -> list[tuple[str, str]]:
    return [(":status", status), ("content-type", "application/json")]


def record(handshake: bytes, size: int = 2**14) -> bytes:
    parts = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x03" + struct.pack("!H", len(part)) + part for part in parts)


def server_hello(cipher: int, extensions: bytes, version: int = 0x0303, session: bytes = b"s" * 32) -> bytes:
    body = struct.pack("!H32sB", version, b"r" * 32, len(session)) + session
    body += struct.pack("!HBH", cipher, 0, len(extensions)) + extensions
    return b"\x02" + len(body).to_bytes(3, "big") + body


CLIENT_HELLO = record(b"\x01\x00\x00\x29" + b"\x03\x03" + b"c" * 32 + b"\x00\x00\x02\x13\x01\x01\x00")
TLS13 = struct.pack("!HHH", 51, 2, 0) + struct.pack("!HHH", 43, 2, 0x0304)


@pytest.mark.parametrize(
    ("hello", "version", "cipher"),
    [
        (server_hello(0x1301, TLS13), "TLS 1.3", "TLS_AES_128_GCM_SHA256"),
        (server_hello(0xC02F, b""), "TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (server_hello(0xC02B, b"", session=b""), "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (server_hello(0x9999, b""), "TLS 1.2", "0x9999"),
    ],
    ids=["1.3", "1.2", "no-session", "unknown-cipher"],
)
@pytest.mark.parametrize("size", [7, 2**14])
def test_version_and_cipher_are_what_the_server_chose(
    hello: bytes, version: str, cipher: str, size: int
) -> None:
    talk = Talk(port=6443)
    packets = talk.open() + talk.ask(CLIENT_HELLO, [1, 3]) + talk.answer(record(hello, size), [5, 40])
    packets += talk.answer(b"\x17\x03\x03\x00\x05POST ") + talk.ask(b"\x17\x03\x03\x00\x04GET ")
    found = history(packets)
    (connection,) = found.connections
    assert (connection.protocol, tls_of(connection)) == ("tls", (version, cipher))
    assert connection.complete
    assert (found.observations, found.missing) == ((), ())


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x03\x00\x02\x02\x28",
        record(b"\x02\x00\x00\x02\x03\x03" + bytes(60)),
        b"HTTP/1.0 400 Bad\r\n\r\n",
    ],
    ids=["alert", "short-hello", "plain"],
)
def test_a_handshake_that_fails_has_no_version(answer: bytes) -> None:
    talk = Talk(port=6443)
    (connection,) = history(talk.open() + talk.ask(CLIENT_HELLO) + talk.answer(answer)).connections
    assert (connection.protocol, tls_of(connection)[0]) == ("tls", "")


def test_tls_on_a_port_of_the_api_server_is_not_missing() -> None:
    talk = Talk()
    found = history(talk.open() + talk.ask(CLIENT_HELLO) + talk.answer(record(server_hello(0x1301, TLS13))))
    assert found.missing == ()


SUITES = {
    "1.3-aes-128": (ssl.TLSVersion.TLSv1_3, "", "TLS 1.3"),
    "1.2-aes-128-gcm": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS 1.2"),
    "1.2-aes-256-gcm": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS 1.2"),
    "1.2-chacha": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS 1.2"),
    "1.2-cbc-128": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA", "TLS 1.2"),
    "1.2-cbc-256": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA", "TLS 1.2"),
}


@pytest.mark.parametrize(("version", "suite", "told"), SUITES.values(), ids=SUITES)
def test_with_its_secrets_a_connection_is_as_readable_as_in_the_clear(
    tmp_path: Path, version: ssl.TLSVersion, suite: str, told: str
) -> None:
    ends = Ends(tmp_path, version, suite)
    said = ends.connect(Talk(port=6443))
    said.say(request("POST", "/api/v1/namespaces/d/pods", POD), to_server=True)
    said.say(response(201, POD), to_server=False)
    said.say(request("GET", "/api/v1/pods?watch=1"), to_server=True)
    said.say(watch_head(), to_server=False)
    for _ in range(3):
        said.say(chunked([b'{"type":"ADDED","object":{"kind":"Pod"}}\n'], last=False), to_server=False)
    found = history(said.packets, ends.keys())
    assert [type(each).__name__ for each in found.observations] == [
        "ApiRequest", "ApiResponse", "ApiRequest", "ApiResponse", "WatchEvent", "WatchEvent", "WatchEvent",
    ]  # fmt: skip
    assert isinstance(found.observations[0], ApiRequest)
    assert found.observations[0].body == {"kind": "Pod"}
    (connection,) = found.connections
    assert connection.tls == Tls(
        version=told,
        cipher=connection.tls.cipher if connection.tls else "",
        server_name="kubernetes",
        alpn="h2",
        client_certificate="CN=system:node:node1",
        server_certificate="CN=kubernetes",
        inside="http/1.1",
    )
    assert found.missing == ()


def test_http2_under_tls(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    said, client, server = ends.connect(Talk(port=6443)), Side(), Side()
    asked = client.headers(1, asking("POST", "/api/v1/namespaces/d/pods"))
    said.say(client_start() + asked, to_server=True)
    said.say(data(1, POD, ends=True), to_server=True)
    said.say(server.headers(1, answering("201")) + data(1, POD, ends=True), to_server=False)
    found = history(said.packets, ends.keys())
    asking_, answer = found.observations
    assert isinstance(asking_, ApiRequest)
    assert isinstance(answer, ApiResponse)
    assert (asking_.stream, asking_.namespace, answer.status, answer.body) == (1, "d", 201, {"kind": "Pod"})
    assert found.connections[0].tls
    assert found.connections[0].tls.inside == "h2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_resumed_session(tmp_path: Path, version: ssl.TLSVersion) -> None:
    ends = Ends(tmp_path, version, mutual=False)
    first = ends.connect(Talk(port=6443, client_port=1111))
    first.say(request("GET", "/first"), to_server=True)
    first.say(response(200), to_server=False)
    second = ends.connect(Talk(port=6443, client_port=2222), first.client.session)
    assert second.client.session_reused
    second.say(request("GET", "/second"), to_server=True)
    found = history(first.packets + second.packets, ends.keys())
    assert [o.path for o in found.observations if isinstance(o, ApiRequest)] == ["/first", "/second"]
    assert [each.tls.resumed for each in found.connections if each.tls] == [False, True]


def test_a_session_of_tls_1_2_that_resumes_what_was_seen_needs_no_secrets_of_its_own(tmp_path: Path) -> None:
    ends = Ends(tmp_path, ssl.TLSVersion.TLSv1_2, mutual=False)
    first = ends.connect(Talk(port=6443, client_port=1111))
    first.say(request("GET", "/first"), to_server=True)
    keys = ends.keys()
    second = ends.connect(Talk(port=6443, client_port=2222), first.client.session)
    second.say(request("GET", "/second"), to_server=True)
    found = history(first.packets + second.packets, keys)
    assert [o.path for o in found.observations if isinstance(o, ApiRequest)] == ["/first", "/second"]


def test_secrets_that_are_written_later_than_the_packets_come(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    said = ends.connect(Talk(port=6443))
    said.say(request("GET", "/early"), to_server=True)
    keys = KeyLog()
    into, seen = feed(said.packets, decoder(keys))
    assert seen == []
    assert "its secrets are not in the key log" in into.finish(STATISTICS).missing[0]
    keys.learn(ends.log.read_text())
    said.packets.clear()
    said.say(response(200), to_server=False)
    _, (asked, answered) = feed(said.packets, into, first=100)
    assert isinstance(asked, ApiRequest)
    assert (asked.path, type(answered)) == ("/early", ApiResponse)
    assert into.finish(STATISTICS).missing == ()


def test_without_a_key_log_tls_stays_closed_and_nothing_is_missing(tmp_path: Path) -> None:
    said = Ends(tmp_path).connect(Talk(port=6443))
    said.say(request("GET", "/secret"), to_server=True)
    found = history(said.packets)
    assert (found.observations, found.missing) == ((), ())
    assert found.connections[0].tls
    assert found.connections[0].tls.why_closed == "no key log is at hand"


def test_a_wrong_secret_is_told(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    said = ends.connect(Talk(port=6443))
    said.say(request("GET", "/a"), to_server=True)
    keys = KeyLog()
    keys.learn("".join(f"{line[:-4]}{'0' * 4}\n" for line in ends.log.read_text().splitlines()))
    found = history(said.packets, keys)
    assert "cannot be decrypted with the key log's secret" in found.missing[0]
    assert all(isinstance(each, Undecoded) for each in found.observations)


def test_a_garbled_key_log_is_told() -> None:
    with pytest.raises(DecodeError, match="wanted a line of a key log"):
        KeyLog().learn("CLIENT_RANDOM 00zz 11\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_one_end_may_be_captured_before_what_it_answers(tmp_path: Path, version: ssl.TLSVersion) -> None:
    ends = Ends(tmp_path, version)
    said = ends.connect(Talk(port=6443))
    said.say(request("GET", "/a"), to_server=True)
    said.say(response(200), to_server=False)
    opening, rest = said.packets[:3], said.packets[3:]
    from_client, from_server = (
        [each for each in rest if (each[36:38] == PORT) is to] for to in (True, False)
    )
    found = history([*opening, *from_client, *from_server], ends.keys())
    assert [type(each).__name__ for each in found.observations] == ["ApiRequest", "ApiResponse"]
    assert found.missing == ()


def test_keys_are_updated_by_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = json.loads((DATA / "tls-1.3-key-update.json").read_text())
    updates: list[Opener13] = []
    update = Opener13.update

    def counted(opener: Opener13) -> None:
        updates.append(opener)
        update(opener)

    monkeypatch.setattr(Opener13, "update", counted)
    keys, talk = KeyLog(), Talk(port=6443)
    keys.learn("\n".join(stored["keys"]))
    packets = talk.open()
    for to_server, said in stored["said"]:
        packets += talk.say(bytes.fromhex(said), to_server=to_server)
    found = history(packets, keys)
    asked = [each.path for each in found.observations if isinstance(each, ApiRequest)]
    answered = [each.status for each in found.observations if isinstance(each, ApiResponse)]
    assert (asked, answered, found.missing) == (["/n0", "/n1", "/n2", "/last"], [200] * 4, ())
    assert sorted(Counter(updates).values()) == [3, 3]
