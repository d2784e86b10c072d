"""Plans and outcomes survive being written, and a file that is neither is told what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters.certificates import KeyPair
from kubewitness.clusters.configuration import kubeconfig
from kubewitness.clusters.errors import UsageError
from kubewitness.load.driving import reach
from kubewitness.load.plan import CLOSED, Delivered, Outcome, Plan, PlanError, Request, Sent

SERVER = "http://127.0.0.1:8080"
REQUESTS = (
    Request("a", "POST", "/pods", {"metadata": {"name": "ä"}}, 5),
    Request("b", "PATCH", "/pods/b", b"k8s\0\xff", content_type="application/vnd.kubernetes.protobuf"),
    Request("b", "DELETE", "/pods/b"),
)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(server=SERVER, requests=REQUESTS, authority=Path("/ca.crt"), loop=CLOSED, concurrency=3,
                watch="/pods?watch=1", deliveries=2)  # fmt: skip
    plan.write(tmp_path / "plan")
    assert Plan.read(tmp_path / "plan") == plan


def test_what_a_plan_need_not_say(tmp_path: Path) -> None:
    request = {"name": "a", "method": "GET", "path": "/", "body": None, "offset_ns": 3}
    lines: list[Any] = [{"server": SERVER, "authority": None, "connections": 7}, request]
    (tmp_path / "plan").write_text("\n".join(map(json.dumps, lines)))
    found = Plan.read(tmp_path / "plan")
    assert (found.requests, found.connections) == ((Request("a", "GET", "/", offset_ns=3),), 7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not enough values"),
        ("{}", "'server'"),
        ("{", "Expecting"),
        ("[]", "wanted an object in each line"),
        (json.dumps({"server": SERVER, "servers": 1}), "'servers'"),
        (json.dumps({"server": SERVER}) + '\n{"name": "a"}', "'method' and 'path'"),
        (json.dumps({"server": SERVER, "within_s": "1"}), "not supported between"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan").write_text(text)
    with pytest.raises(PlanError, match=told) as error:
        Plan.read(tmp_path / "plan")
    assert str(tmp_path / "plan") in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"server": "10.0.0.1:6443"}, "server: wanted http://HOST:PORT"),
        ({"loop": "opened"}, "loop: wanted 'open' or 'closed', found 'opened'"),
        ({"connections": 0}, "connections: wanted at least 1"),
        ({"within_s": 0}, "within_s: wanted more than 0"),
        ({"deliveries": 1}, "deliveries: wanted 0 without a watch"),
        ({"key": Path("/key")}, "a certificate and its key"),
        ({"requests": [Request("a", "HEAD", "/")]}, "'a': wanted one of DELETE, GET"),
        ({"requests": [Request("a", "GET", "/a b")]}, "a path that begins with / and is encoded"),
        ({"requests": [Request("a", "GET", "/", offset_ns=-1)]}, "an offset of 0 or more, found -1"),
    ],
)
def test_a_plan_that_makes_no_sense(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        Plan(**{"server": SERVER, "requests": ()} | wrong)


def outcome() -> Outcome:
    sent = [Sent(f"r{n % 2}", "POST", 100, 100 + n, 300 + n, 201) for n in range(10)]
    return Outcome(
        began_ns=1, ended_ns=2, clock_shift_ns=-3, connections=4, loop=CLOSED, reconnected=0,
        processor_ns=5, missing="something",
        sent=(*sent, Sent("never", "POST", 100, None, None, None)), delivered=(Delivered("r1", 7, "ADDED"),),
    )  # fmt: skip


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    outcome().write(tmp_path / "outcome")
    assert Outcome.read(tmp_path / "outcome") == outcome()
    assert [*tmp_path.iterdir()] == [tmp_path / "outcome"]


def test_what_an_outcome_offers() -> None:
    found = outcome()
    assert [found.skew_ns(percent) for percent in (0, 50, 90, 90.1, 100)] == [0, 4, 8, 9, 9]
    assert [len(each) for each in found.by_name().values()] == [5, 5, 1]


def test_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="the outcome of a load cannot be read"):
        Outcome.read(tmp_path / "outcome")


def test_where_a_local_cluster_is(tmp_path: Path) -> None:
    user = KeyPair(Path("/u.crt"), Path("/u.key"))
    path = kubeconfig(tmp_path / "config", "https://10.0.0.1:6443", Path("/ca.crt"), user)
    assert reach(path) == {
        "server": "https://10.0.0.1:6443", "authority": Path("/ca.crt"), "certificate": user.certificate,
        "key": user.key,
    }  # fmt: skip
    plain = reach(kubeconfig(tmp_path / "plain", SERVER))
    assert plain == {"server": SERVER, "authority": None, "certificate": None, "key": None}
    (tmp_path / "yaml").write_text("clusters: []")
    with pytest.raises(UsageError, match="wanted a kubeconfig in JSON"):
        reach(tmp_path / "yaml")
