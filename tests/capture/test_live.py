"""A packet socket sees what passes on the loopback interface, each packet once."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing

import pytest

from kubewitness.capture.live import Live, NoCapture
from kubewitness.model.observation import UNKNOWN, ApiRequest, ApiResponse, Observation
from kubewitness.wire.decoder import Decoder
from tests.capture.own_network import own_network
from tests.wire.traffic import request, response


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_NET_RAW")
@pytest.mark.parametrize("interface", ["lo", "any"])
def test_an_exchange_on_the_loopback_interface(interface: str) -> None:
    with (
        closing(Live(interface)) as live,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        port = server.getsockname()[1]
        client.sendall(request("GET", "/live"))
        accepted.recv(4096)
        accepted.sendall(response(200))
        client.recv(4096)
        decoder = Decoder(frozenset({port}), frozenset(), lambda *_: UNKNOWN)
        seen: list[Observation] = []
        number = 0
        while len(seen) < 2:
            live.wait()
            while (packet := live.next()) is not None:
                number += 1
                seen += decoder.feed(number, packet.time_ns, packet.data, packet.link)
        asked, answered = seen
        assert isinstance(asked, ApiRequest)
        assert isinstance(answered, ApiResponse)
        assert (asked.path, answered.status) == ("/live", 200)
        assert live.lost() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="this process lacks CAP_SYS_ADMIN and CAP_NET_RAW")
def test_an_interface_that_goes_down_is_told() -> None:
    links = ("link add v0 type veth peer name v1", "link set v1 up")
    with own_network(*links), closing(Live("v1")) as live:
        subprocess.run(["ip", "link", "set", "v1", "down"], check=True)
        with pytest.raises(NoCapture, match="v1 cannot be listened to any longer: Network is down"):
            live.wait()
