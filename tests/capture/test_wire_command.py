"""`kubewitness wire` from its arguments to its lines."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from kubewitness.capture.files import Packet
from kubewitness.capture.live import Live, NoCapture
from kubewitness.capture.storing import Store
from kubewitness.cli import main
from tests.wire.grpc_traffic import Side, client_start, header, txn
from tests.wire.tls_traffic import Ends
from tests.wire.traffic import (
    Talk,
    chunked,
    pod_bytes,
    proto,
    request,
    response,
    watch_head,
)

PODS = "/api/v1/namespaces/default/pods"
AGENT = "User-Agent: kube-scheduler/v1.37.2 (linux/amd64) kubernetes/0123abc/scheduler\r\n"


def pod(name: str, version: int, node: str = "") -> bytes:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return json.dumps(
        {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node} if node else {}}
    ).encode()


def created(name: str) -> list[bytes]:
    """A pod's creation, storing, delivery and binding, and the listing of others."""
    client, scheduler, etcd = (
        Talk(client_port=1111),
        Talk(client_port=2222),
        Talk(port=2379, client_port=3333),
    )
    apiserver, store = Side(), Side()
    stored = pod_bytes(name)
    packets = scheduler.open() + scheduler.ask(request("GET", "/api/v1/pods?watch=1", extra=AGENT))
    packets += scheduler.answer(watch_head()) + client.open() + etcd.open()
    packets += client.ask(
        request("POST", PODS, pod(name, 0), extra="User-Agent: kubectl/v1.37.2 (linux)\r\n")
    )
    call = apiserver.call(1, "/etcdserverpb.KV/Txn", txn(f"/registry/pods/default/{name}", stored, 0))
    packets += etcd.ask(client_start() + call)
    packets += etcd.answer(store.answer(1, proto((1, header(7)), (2, 1))))
    packets += client.answer(response(201, pod(name, 7)))
    event = b'{"type":"ADDED","object":' + pod(name, 7) + b"}\n"
    packets += scheduler.answer(chunked([event], last=False))
    bound = json.dumps({"kind": "Binding", "target": {"name": "node1"}}).encode()
    packets += client.ask(request("POST", f"{PODS}/{name}/binding", bound))
    packets += client.answer(response(409, b'{"kind":"Status","reason":"Conflict"}'))
    packets += client.ask(request("GET", f"{PODS}?labelSelector=a%3Db"))
    packets += client.answer(
        response(200, b'{"kind":"PodList","items":[{},{}],"metadata":{"resourceVersion":"9"}}')
    )
    packets += client.ask(request("DELETE", f"{PODS}/other"))
    return packets


def reported(name: str) -> list[bytes]:
    """An Event about a pod."""
    talk = Talk(client_port=4444 + len(name))
    told = {"metadata": {"name": "e", "uid": "uid-e"}, "involvedObject": {"uid": f"uid-{name}"}}
    body = json.dumps({"kind": "Event", **told}).encode()
    asked = request("POST", "/api/v1/namespaces/default/events", body)
    return talk.open() + talk.ask(asked) + talk.answer(response(201, body, extra="Audit-Id: 77\r\n"))


def write(file: Path, packets: list[bytes], writer: Callable[[str], Any] = PcapWriter) -> str:
    with writer(str(file)) as out:
        for packet in packets:
            out.write(Ether(packet))
    return str(file)


def test_a_line_for_each_call_and_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wire", write(tmp_path / "x.pcap", created("web"))]) == 0
    told, summary = capsys.readouterr()
    lines = [" ".join(line.split()[2:]) for line in told.splitlines()]
    for number, line in enumerate(lines):
        before, _, after = line.partition(" ms")
        lines[number] = f"{before.rpartition(' ')[0]}{after}" if after or line.endswith(" ms") else line
    assert lines == [
        "kube-scheduler/scheduler watch pods -> 200, open",
        "127.0.0.1:3333 put /registry/pods/default/web if mod = 0 -> done uid uid-web rv 7",
        "kubectl create pods default/web -> 201 uid uid-web rv 7",
        "to kube-scheduler/scheduler ADDED pods default/web uid uid-web rv 7",
        "127.0.0.1:1111 create pods/binding default/web (to node1) -> 409 Conflict",
        "127.0.0.1:1111 list pods default/ (labelSelector=a=b) -> 200, 2 items rv 9",
        "127.0.0.1:1111 delete pods default/other -> no answer",
    ]
    assert "3 connections: 5 API calls, 1 watch events, 1 calls to etcd, 0 events of etcd" in summary


def test_one_pods_life_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = write(tmp_path / "x.pcapng", created("web") + reported("web") + reported("x"), PcapNgWriter)
    assert main(["wire", capture, "--pod", "default/web", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["kind"] for each in told] == ["etcd", "call", "event", "call", "call"]
    assert [each.get("uid") for each in told] == ["uid-web", "uid-web", "uid-web", None, "uid-e"]
    assert [each.get("revision") for each in told] == ["7", "7", "7", None, None]
    assert (told[-1]["regards"], told[-1]["audit_id"]) == ("uid-web", "77")
    assert main(["wire", capture, "--pod", "elsewhere/web"]) == 0
    assert capsys.readouterr().out == ""


def told_by(main_arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["wire", *main_arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_every_kind_of_body_and_call_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Path(__file__).parents[1] / "wire" / "data" / "bodies-1.37.2.pcap.gz"
    capture = tmp_path / "x.pcap"
    capture.write_bytes(gzip.decompress(recorded.read_bytes()))
    lines = told_by([str(capture)], capsys)
    wanted = [
        "curl create pods default/seed -> 201",
        "curl create widgets.example.org default/w1 -> 201",
        "curl patch configmaps default/applied-yaml (apply) -> 201",
        "curl patch configmaps default/made-yaml (json) -> 200",
        "to curl BOOKMARK pods (end of the list) rv",
        "to curl ADDED pods default/seed (Pending) uid",
        "to curl MODIFIED pods default/seed (Pending, being deleted) uid",
        "to curl MODIFIED pods default/seed (being deleted) uid",  # in a row of a Table
        "curl list pods default/ -> 200 ms, 1 rows rv",
        "curl get pods default/seed -> 200 ms, 1 rows uid",
        "curl get pods default/nope -> 404 NotFound ms",
        "put /registry/secrets/default/hidden (encrypted: aescbc v1 with key1) if mod = 0 -> done ms rv",
        "PUT /registry/secrets/default/hidden (encrypted: aescbc v1 with key1) rv",
        "range /registry/secrets/default/hidden -> revision 85 (encrypted: aescbc v1 with key1) ms",
        "put /registry/example.org/widgets/default/w1 if mod = 0 -> done ms uid",
        "MemberList -> members=[{ID=b71f75320dc06a6c name=default peerURLs=[http://127.0.0.1:2380]",
        "LeaseGrant TTL=60 ID=7b -> ID=7b TTL=60 ms",
        "LeaseKeepAlive ID=7b -> ID=7b TTL=60 ms",
        "Compact revision=5 -> ms",
        "watch /registry/ -> canceled=True compact_revision=5 ms",
    ]
    plain = [re.sub(r"[0-9.]+ ms", "ms", " ".join(line.split()[2:])) for line in lines]
    assert [each for each in wanted if not any(each in line for line in plain)] == []
    assert not [line for line in plain if line.startswith("?")]


def test_what_is_told_is_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Path(__file__).parents[1] / "wire" / "data" / "bodies-1.37.2.pcap.gz"
    capture = tmp_path / "x.pcap"
    capture.write_bytes(gzip.decompress(recorded.read_bytes()))
    told = [json.loads(line) for line in told_by(["--json", str(capture)], capsys)]
    assert {each.get("claimed_by") for each in told if each["kind"] == "call"} == {"user agent"}
    assert all(each["audit_id"] for each in told if each["kind"] == "call")
    patches = [each["patch"] for each in told if each.get("patch")]
    assert patches == ["apply", "apply", "json", "merge", "strategic"]
    assert [each["ends_list"] for each in told if "ends_list" in each] == [True]
    assert sum(each.get("encrypted") == "aescbc v1 with key1" for each in told) == 3
    (granted,) = [each for each in told if each.get("method") == "LeaseGrant"]
    assert (granted["arguments"], granted["results"]) == ({"TTL": 60, "ID": 123}, {"ID": 123, "TTL": 60})


def test_tls_is_opened_by_a_key_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = Ends(tmp_path)
    said = ends.connect(Talk(port=6443))
    said.say(request("GET", "/version"), to_server=True)
    said.say(response(200), to_server=False)
    capture = write(tmp_path / "x.pcap", said.packets)
    assert main(["wire", capture, "--keylog", str(ends.log)]) == 0
    assert "system:node:node1" in capsys.readouterr().out
    assert main(["wire", capture]) == 4
    told, summary = capsys.readouterr()
    assert told == ""
    assert "its secrets are not in the key log" in summary


def test_what_is_missing_is_told_with_status_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packets = created("web")
    assert main(["wire", write(tmp_path / "x.pcap", packets[4:])]) == 4
    assert "it was open before the capture began" in capsys.readouterr().err
    whole = Path(write(tmp_path / "y.pcap", packets))
    whole.write_bytes(whole.read_bytes()[:-5])
    assert main(["wire", str(whole)]) == 4
    assert "ends within packet" in capsys.readouterr().err


def test_what_the_kernel_dropped_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "x.pcapng"
    with closing(Store(capture, lost=lambda: 17)) as store:
        store.write([Packet(0, 1, each, len(each), "lo") for each in map(bytes, map(Ether, created("web")))])
    assert main(["wire", str(capture)]) == 4
    count = len(created("web"))
    assert f"missing: the kernel dropped 17 packets besides {count}\n" in capsys.readouterr().err
    with capture.open("ab") as file:
        file.write(b"\x06\0\0\0\xff\xff\xff\xff" + bytes(4))
    assert main(["wire", str(capture)]) == 2, "what was read before the damage is told, and what is missing"
    assert f"missing: the kernel dropped 17 packets besides {count}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.pcap"], "nothing.pcap cannot be read: No such file or directory"),
        (["text.pcap"], "text.pcap is no capture: wanted pcap or pcapng"),
        (["x.pcap", "--keylog", "nothing.log"], "the key log nothing.log cannot be read"),
        (["x.pcap", "--keylog", "text.pcap"], "text.pcap has no key log: wanted a line of a key log"),
        (["--interface", "nosuch0"], "there is no interface 'nosuch0'; there are"),
    ],
)
def test_what_cannot_be_done_is_told_with_status_2(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("x.pcap"), created("web"))
    Path("text.pcap").write_text("some text\nthat is no capture\n")
    if arguments[0] == "--interface" and os.geteuid() != 0:
        told = "CAP_NET_RAW"
    assert main(["wire", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_no_right_to_listen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(NoCapture, match="takes the right CAP_NET_RAW"):
        Live("lo")


def test_whoever_reads_may_stop(tmp_path: Path) -> None:
    capture = write(tmp_path / "x.pcap", created("web"))
    script = f"{sys.executable} -m kubewitness.cli wire {capture} | true"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert "Traceback" not in ended.stderr


def test_parts_are_read_as_one_and_a_missing_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(tmp_path / "x.pcapng", part_bytes=700)) as store:
        for number, data in enumerate(map(bytes, map(Ether, created("web")))):
            store.write([Packet(number, 1, data, len(data), "lo")])
    assert main(["wire", str(tmp_path / "x.pcapng")]) == 0
    assert "3 connections: 5 API calls, 1 watch events, 1 calls to etcd" in capsys.readouterr().err
    (tmp_path / "x_00002.pcapng").unlink()
    assert main(["wire", str(tmp_path / "x.pcapng")]) == 4
    assert "x_00002.pcapng is not there, though the capture goes on behind it" in capsys.readouterr().err
