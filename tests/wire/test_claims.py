"""Who a client says it is, where no socket tells its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.model.history import History
from kubewitness.model.observation import UNKNOWN, ApiRequest, Endpoint, Speaker
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.tls import KeyLog
from kubewitness.wire.witness import claimant
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import (
    API,
    API_TLS,
    ETCD,
    STATISTICS,
    Talk,
    chunked,
    feed,
    request,
    response,
    watch_head,
)

AGENT = "kube-scheduler/v1.37.2 (linux/amd64) kubernetes/0123abc/leader-election"
EVENT = b'{"type":"ADDED","object":{"kind":"Pod"}}\n'


class Sockets:
    """Knows the process of a client only later, as a capture's sockets are known after its packets."""

    def __init__(self) -> None:
        self.client = UNKNOWN

    def speaker_of(self, local: Endpoint, _remote: Endpoint, _opened_ns: int) -> Speaker:
        return Speaker("kube-apiserver", 1) if local.port in (API, API_TLS) else self.client


def seen(packets: list[bytes], sockets: Sockets, keys: KeyLog | None = None) -> tuple[Decoder, History]:
    into = Decoder(frozenset({API, API_TLS}), frozenset({ETCD}), sockets.speaker_of, keys)
    feed(packets, into)
    return into, into.finish(STATISTICS)


def asking() -> list[bytes]:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/api/v1/pods", extra=f"User-Agent: {AGENT}\r\n"))
    packets += talk.answer(response(200, b"{}"))
    packets += talk.ask(request("GET", "/api/v1/pods?watch=1", extra=f"User-Agent: {AGENT}\r\n"))
    return packets + talk.answer(watch_head() + chunked([EVENT]))


def test_a_user_agent_is_a_claim_of_who_asks_and_who_is_told() -> None:
    claim = Speaker("unknown", claimed="kube-scheduler/leader-election", claimed_by="user agent")
    _, found = seen(asking(), Sockets())
    clients = [each.sender if isinstance(each, ApiRequest) else each.receiver for each in found.observations]
    assert clients == [claim] * 5
    servers = [each.receiver if isinstance(each, ApiRequest) else each.sender for each in found.observations]
    assert servers == [Speaker("kube-apiserver", 1)] * 5


def test_a_claim_is_no_process() -> None:
    claim = claimant("", AGENT)
    assert not claim.known
    assert (claim.component, claim.role, claim.pid) == ("unknown", "unknown", None)
    assert str(claim) == "unknown (by its user agent kube-scheduler/leader-election)"
    assert str(Speaker("kubelet/n1", 7)) == "kubelet/n1"


def test_a_process_that_becomes_known_takes_the_place_of_the_claim() -> None:
    sockets = Sockets()
    into, _ = seen(asking(), sockets)
    sockets.client = Speaker("kubectl", 9)
    found = into.finish(STATISTICS)
    assert {each.sender for each in found.observations} == {sockets.client, Speaker("kube-apiserver", 1)}
    assert {each.receiver for each in found.observations} == {sockets.client, Speaker("kube-apiserver", 1)}
    _, at_once = seen(asking(), sockets)
    assert at_once.observations == found.observations


def test_a_certificate_comes_before_a_user_agent(tmp_path: Path) -> None:
    ends, keys = Ends(tmp_path), KeyLog()
    said = ends.connect(Talk(port=API_TLS))
    said.say(request("GET", "/version", extra=f"User-Agent: {AGENT}\r\n"), to_server=True)
    keys.learn(ends.log.read_text())
    _, found = seen(said.packets, Sockets(), keys)
    claim = Speaker("unknown", claimed="system:node:node1", claimed_by="certificate")
    assert [each.sender for each in found.observations] == [claim]
    assert found.connections[0].client_process == claim


@pytest.mark.parametrize(
    ("certificate", "agent", "claimed"),
    [
        ("CN=system:node:n1,O=system:nodes", "curl/8", "system:node:n1"),
        ("O=system:masters,CN=admin", "", "admin"),
        ("O=nobody", "curl/8.1", "curl"),
        ("", "kubelet/v1.37.2 (linux/amd64) kubernetes/0123", "kubelet"),
        ("", "kube-scheduler/v1 (linux/amd64) kubernetes/01/scheduler", "kube-scheduler/scheduler"),
        ("", "kubectl/v1 (linux/amd64) kubernetes/01/kubectl", "kubectl"),
        ("", "just words", ""),
        ("", "", ""),
        ("", "/" * 900 + " " * 100, ""),
    ],
)
def test_claims(certificate: str, agent: str, claimed: str) -> None:
    assert claimant(certificate, agent).claimed == claimed
