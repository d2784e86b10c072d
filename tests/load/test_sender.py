"""The process that sends: what is intended, sent, answered and delivered, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters.certificates import Authority, KeyPair
from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.load.driving import run
from kubewitness.load.plan import CLOSED, Outcome, Plan, Request
from tests.load.serving import OK, Exchange, chunked, serving
from tests.load.test_answers import BOOKMARK, line

WATCH = "/pods?watch=1"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GAP_NS = 1_000_000


def posts(count: int, gap_ns: int = GAP_NS) -> list[Request]:
    return [Request(f"r{n}", "POST", "/pods", {"n": n}, n * gap_ns) for n in range(count)]


def plan(server: str, requests: list[Request], **more: Any) -> Plan:
    return Plan(server=server, requests=requests, **{"within_s": 30.0} | more)


def answered(outcome: Outcome) -> list[int]:
    return [each.answered_ns for each in outcome.sent if each.answered_ns is not None]


def sent(outcome: Outcome) -> list[int]:
    return [each.sent_ns for each in outcome.sent if each.sent_ns is not None]


def test_intended_times_are_kept_while_the_server_stands_still(tmp_path: Path) -> None:
    def nothing_until_all_came(exchange: Exchange) -> None:
        exchange.server.wait_until(lambda server: len(server.asked) == 20)
        exchange.send()

    with serving(nothing_until_all_came) as server:
        outcome = run(plan(server.url, posts(20), ahead=3), tmp_path)
    assert not outcome.missing
    assert [each.intended_ns - outcome.began_ns for each in outcome.sent] == [n * GAP_NS for n in range(20)]
    assert outcome.skews_ns()[0] >= 0
    assert max(sent(outcome)) < min(answered(outcome))
    assert {each.status for each in outcome.sent} == {201}
    assert outcome.connections == server.opened == 20
    assert max(answered(outcome)) <= outcome.ended_ns


def test_requests_are_sent_in_the_order_of_their_times(tmp_path: Path) -> None:
    with serving(Exchange.send) as server:
        outcome = run(plan(server.url, posts(5)[::-1], connections=1), tmp_path)
    assert [each.body for each in server.asked] == [b'{"n":%d}' % n for n in range(5)]
    assert [each.name for each in outcome.sent] == ["r4", "r3", "r2", "r1", "r0"]


def test_a_request_waits_for_a_connection_if_there_may_be_no_more(tmp_path: Path) -> None:
    def pairs(exchange: Exchange) -> None:
        exchange.server.wait_until(lambda server: len(server.asked) % 2 == 0 or len(server.asked) > 2)
        exchange.send()

    with serving(pairs) as server:
        outcome = run(plan(server.url, posts(4, 0), connections=2), tmp_path)
    assert server.opened == 2
    assert {each.intended_ns for each in outcome.sent} == {outcome.began_ns}
    first, second = sorted(answered(outcome))[:2]
    assert first <= sorted(sent(outcome))[2]
    assert second <= sorted(sent(outcome))[3]


def test_a_closed_loop_has_so_many_requests_under_way(tmp_path: Path) -> None:
    def three_by_three(exchange: Exchange) -> None:
        place = exchange.server.asked.index(exchange)
        exchange.server.wait_until(lambda server: len(server.asked) >= place // 3 * 3 + 3)
        exchange.send()

    with serving(three_by_three) as server:
        outcome = run(plan(server.url, posts(9), loop=CLOSED, concurrency=3), tmp_path)
    assert server.opened == outcome.connections == 3
    assert [each.intended_ns for each in outcome.sent] == sent(outcome)
    changes = sorted([(at, 1) for at in sent(outcome)] + [(at, -1) for at in answered(outcome)])
    level = [sum(change for _, change in changes[: end + 1]) for end in range(len(changes))]
    assert max(level) == 3


def test_a_connection_is_used_again_whatever_the_form_of_its_answers(tmp_path: Path) -> None:
    forms = [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM + chunked(b"x" * 70000, b"yy", b""),
        STREAM + b"0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 409 Conflict\r\nContent-Length: 200000\r\n\r\n" + b"z" * 200000,
    ]
    with serving(lambda exchange: exchange.send(forms[len(exchange.server.asked) - 1])) as server:
        outcome = run(plan(server.url, posts(5), loop=CLOSED), tmp_path)
    assert [each.status for each in outcome.sent] == [201, 200, 200, 204, 409]
    assert server.opened == 1
    assert all(before <= after for before, after in pairwise(answered(outcome)))


def close_politely(exchange: Exchange) -> None:
    exchange.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    exchange.connection.shutdown(socket.SHUT_RDWR)


def test_a_closed_connection_is_replaced(tmp_path: Path) -> None:
    with serving(close_politely) as server:
        outcome = run(plan(server.url, posts(4), loop=CLOSED), tmp_path)
    assert not outcome.missing
    assert (server.opened, outcome.connections, outcome.reconnected) == (4, 4, 3)


def test_a_request_that_was_sent_is_not_sent_again(tmp_path: Path) -> None:
    def not_the_second(exchange: Exchange) -> None:
        if exchange.body == b'{"n":1}':
            exchange.connection.shutdown(socket.SHUT_RDWR)
        else:
            exchange.send()

    with serving(not_the_second) as server:
        outcome = run(plan(server.url, posts(3), loop=CLOSED), tmp_path)
    assert len(server.asked) == 3
    assert [each.status for each in outcome.sent] == [201, None, 201]
    assert outcome.sent[1].answered_ns is None
    assert "1 of 3 requests were sent and not answered" in outcome.missing
    assert "the server closed the connection" in outcome.missing
    assert Outcome.read(tmp_path / "outcome.jsonl") == outcome


def test_the_watch_is_there_before_the_first_request_and_tells_the_first_of_each_name(tmp_path: Path) -> None:
    later = line("MODIFIED", "r0") + BOOKMARK + line("ADDED", "r1") + line("ADDED", "r0")

    def told(exchange: Exchange) -> None:
        first = exchange.server.asked[0]
        if exchange is first:
            half = line("ADDED", "before")[:30]
            exchange.send(STREAM + chunked(half))
        elif exchange.body == b'{"n":0}':
            first.send(chunked(line("ADDED", "before")[30:]))
            exchange.send()
        else:
            exchange.send()
            first.send(chunked(later[:70], later[70:]))

    with serving(told) as server:
        found = plan(server.url, posts(2), watch=WATCH, deliveries=3, connections=1)
        outcome = run(found, tmp_path)
    assert [each.path for each in server.asked] == [WATCH, "/pods", "/pods"]
    assert [(each.name, each.type) for each in outcome.delivered] == [
        ("before", "ADDED"), ("r0", "MODIFIED"), ("r1", "ADDED"),
    ]  # fmt: skip
    first, second = sent(outcome)
    before, *others = (each.delivered_ns for each in outcome.delivered)
    assert outcome.began_ns <= first <= before
    assert all(second <= each <= outcome.ended_ns for each in others)
    assert outcome.connections == 1  # that of the watch is none of the requests'


@pytest.mark.parametrize(
    "end",
    [
        b"0\r\n\r\n",
        chunked(b'{"type":"ERROR","object":{"message":"too old"}}\n'),
        b"what?\r\n",
    ],
    ids=["ended", "error", "garbled"],
)
def test_a_watch_that_the_server_ends_is_opened_again(tmp_path: Path, end: bytes) -> None:
    def watched(exchange: Exchange) -> None:
        watches = [each for each in exchange.server.asked if each.path == WATCH]
        if exchange.path != WATCH:
            exchange.send()
            watches[0].send(end)
        else:
            exchange.send(STREAM)
            if len(watches) > 1:
                exchange.send(chunked(line("ADDED", "r0")))

    with serving(watched) as server:
        outcome = run(plan(server.url, posts(1), watch=WATCH, deliveries=1), tmp_path)
    assert outcome.missing == ""
    assert [each.name for each in outcome.delivered] == ["r0"]
    assert outcome.rewatched == 1


def test_a_watch_that_always_ends_is_given_up(tmp_path: Path) -> None:
    def watched(exchange: Exchange) -> None:
        first, *others = (each for each in exchange.server.asked if each.path == WATCH)
        if exchange.path != WATCH:
            exchange.send()
            first.send(b"0\r\n\r\n")
        else:
            exchange.send(STREAM + (b"0\r\n\r\n" if others else b""))

    with serving(watched) as server:
        outcome = run(plan(server.url, posts(1), watch=WATCH, deliveries=1), tmp_path)
    assert "the watch told of 0 of 1 names, and ended: the server ended it" in outcome.missing
    assert outcome.rewatched == 1000


def test_a_watch_that_is_refused(tmp_path: Path) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda exchange: exchange.send(refusal)) as server:
        found = plan(server.url, posts(1), watch=WATCH, deliveries=1)
        with pytest.raises(UsageError, match=r"watch: wanted the status 200 for /pods\?watch=1, found 403"):
            run(found, tmp_path)


def test_what_is_missing_at_the_deadline_is_told(tmp_path: Path) -> None:
    def only_the_first(exchange: Exchange) -> None:
        if exchange.body == b'{"n":0}':
            exchange.send()

    requests = [*posts(2, 0), *[Request("late", "GET", "/", offset_ns=60_000_000_000)]]
    with serving(only_the_first) as server:
        outcome = run(plan(server.url, requests, within_s=0.3), tmp_path)
    assert [each.status for each in outcome.sent] == [201, None, None]
    assert outcome.sent[2].sent_ns is None
    assert outcome.missing.startswith(
        "within 0.3 s 1 of 3 requests were not sent; 1 of 3 requests were sent and not answered"
    )


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for more in ({}, {"watch": WATCH}):
        with pytest.raises(
            ClusterError, match=f"the load's server {url} cannot be reached: Connection refused"
        ):
            run(plan(url, posts(1), **more), tmp_path)


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates", "authority")


def serving_context(authority: Authority) -> ssl.SSLContext:
    own = authority.issue("server", "server", hosts=["127.0.0.1"])
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(own.certificate, own.key)
    made.load_verify_locations(authority.certificate)
    made.verify_mode = ssl.CERT_REQUIRED
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def test_tls_with_a_clients_certificate(tmp_path: Path, authority: Authority) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"z" * 100000

    def told(exchange: Exchange) -> None:
        if exchange.path == WATCH:
            exchange.send(STREAM)
        else:
            exchange.send(large)
            exchange.server.asked[0].send(chunked(line("ADDED", exchange.body.decode()[5:-1])))

    user = authority.issue("user", "user")
    files = {"authority": authority.certificate, "certificate": user.certificate, "key": user.key}
    with serving(told, serving_context(authority)) as server:
        found = plan(server.url, posts(6), watch=WATCH, deliveries=6, connections=2, ahead=2, **files)
        outcome = run(found, tmp_path)
    assert not outcome.missing
    assert {each.status for each in outcome.sent} == {200}
    assert {each.name for each in outcome.delivered} == {str(n) for n in range(6)}
    # The watch's session is resumed by all others.
    assert [exchange.resumed for exchange in server.asked] == [False, *[True] * 6]


def test_a_server_that_another_authority_vouches_for(tmp_path: Path, authority: Authority) -> None:
    other = Authority(tmp_path / "other", "other")
    with (
        serving(Exchange.send, serving_context(authority)) as server,
        pytest.raises(ClusterError, match=r"cannot be reached: TLS: .*certificate"),
    ):
        run(plan(server.url, posts(1), authority=other.certificate), tmp_path)


def test_certificates_that_are_none(tmp_path: Path, authority: Authority) -> None:
    none = KeyPair(tmp_path / "none.crt", tmp_path / "none.key")
    with pytest.raises(UsageError, match=r"a load's certificates .*none.crt.*: No such file"):
        run(plan("https://127.0.0.1:1", posts(1), certificate=none.certificate, key=none.key), tmp_path)
    with pytest.raises(UsageError, match="a load's certificates"):
        run(plan("https://127.0.0.1:1", posts(1), authority=authority.key), tmp_path)


# The process


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "kubewitness.load.sender", *map(str, arguments)]


def test_exit_codes(tmp_path: Path) -> None:
    def code(*arguments: object) -> tuple[int, str]:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
        assert len(done.stderr.splitlines()) <= 1
        return done.returncode, done.stderr

    asked, outcome = tmp_path / "plan", tmp_path / "outcome"
    assert code()[0] == 2
    assert code(asked, outcome) == (
        2,
        f"the plan of a load cannot be read: {asked}: No such file or directory\n",
    )
    with serving(Exchange.send) as server:
        plan(server.url, posts(2)).write(asked)
        assert code(asked, outcome) == (0, "")
        assert code(asked, tmp_path / "no" / "outcome")[0] == 2
    assert code(asked, outcome)[0] == 3
    with serving(lambda exchange: exchange.connection.shutdown(socket.SHUT_RDWR)) as server:
        plan(server.url, posts(1)).write(asked)
        found, told = code(asked, outcome)
    assert found == 4
    assert told.strip() == Outcome.read(outcome).missing


def end_by_signal(process: subprocess.Popen[str], _: int) -> None:
    process.send_signal(signal.SIGTERM)


def end_by_owner(_: subprocess.Popen[str], ours: int) -> None:
    os.close(ours)


@pytest.mark.parametrize(
    ("end", "told"),
    [(end_by_signal, "by SIGTERM"), (end_by_owner, "with the process that started it")],
    ids=["signal", "owner"],
)
def test_it_ends_when_it_is_told_to_and_with_its_owner(
    tmp_path: Path, end: Callable[[subprocess.Popen[str], int], None], told: str
) -> None:
    theirs, ours = os.pipe()
    with serving(lambda _: None) as server:
        plan(server.url, posts(1)).write(tmp_path / "plan")
        words = command("--owner", theirs, tmp_path / "plan", tmp_path / "outcome")
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, pass_fds=[theirs]) as process:
            os.close(theirs)
            server.wait_until(lambda server: len(server.asked) == 1)
            end(process, ours)
            assert process.stderr is not None
            assert process.stderr.read() == f"the load was ended {told}, and has no outcome\n"
    if end is end_by_signal:
        os.close(ours)
    assert process.returncode == 4
    assert not (tmp_path / "outcome").exists()
