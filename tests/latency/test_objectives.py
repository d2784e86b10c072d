from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubewitness.latency.objectives import (
    COLLECTION_NS,
    OBJECT_NS,
    STARTUP_NS,
    WINDOW_NS,
    Call,
    Calls,
    call,
    startup_violations,
)
from tests.checks.histories import request, response

S = 10**9


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Call("pods", "create", "resource")),
        ({"verb": "patch", "subresource": "status"}, Call("pods/status", "patch", "resource")),
        ({"verb": "get"}, Call("pods", "get", "resource")),
        ({"verb": "list", "name": ""}, Call("pods", "list", "namespace")),
        ({"verb": "list", "name": "", "namespace": ""}, Call("pods", "list", "cluster")),
        ({"verb": "watch", "name": ""}, None),
        ({"verb": "deletecollection", "name": ""}, None),
        ({"verb": "get", "resource": ""}, None),
        ({"verb": "get", "subresource": "log"}, None),
        ({"resource": "subjectaccessreviews", "group": "authorization.k8s.io"}, None),
        ({"resource": "widgets", "group": "example.com"}, None),
        ({"resource": "leases", "group": "coordination.k8s.io"}, Call("leases", "create", "resource")),
    ],
)
def test_calls_are_told_apart_as_the_objective_does(fields: dict[str, Any], wanted: Call | None) -> None:
    assert call(request(1, **fields)) == wanted


def _calls(verb: str, latencies_ns: list[int], gap_ns: int = S) -> Calls:
    calls = Calls()
    for number, took in enumerate(latencies_ns):
        at = number * gap_ns
        asked = replace(request(number + 1, verb=verb, name="p" if verb != "list" else ""), started_ns=at)
        calls.take(replace(response(number + 1, asked), time_ns=at + took))
    return calls


@pytest.mark.parametrize(
    ("verb", "limit"), [("create", OBJECT_NS), ("get", OBJECT_NS), ("list", COLLECTION_NS)]
)
def test_one_in_a_hundred_may_be_slower_than_the_bound(verb: str, limit: int) -> None:
    assert not list(_calls(verb, [limit] * 199 + [limit * 2]).violations())
    (violation,) = _calls(verb, [limit] * 98 + [limit * 2] * 2).violations()
    assert violation.seen == f"{limit * 2 / S:.3f} s over 100 calls"


def test_every_five_minutes_count_by_themselves() -> None:
    calls = [1000] * 300 + [2 * S] * 4 + [1000] * 296
    assert len(list(_calls("create", calls).violations())) == 1
    assert not list(_calls("create", calls, gap_ns=S // 10).violations())


def test_a_failing_server_answers_no_call() -> None:
    calls = Calls()
    calls.take(replace(response(2, request(1)), status=503))
    assert not list(calls)


def test_start_up_is_judged_by_its_slowest_hundredth() -> None:
    quick = {f"p{n}": (n * S, STARTUP_NS) for n in range(150)}
    assert not list(startup_violations(quick | {"slow": (0, STARTUP_NS * 9)}))
    slow = {f"slow{n}": (n, STARTUP_NS + 1) for n in range(2)}
    assert len(list(startup_violations(quick | slow))) == 1
    late = {"slow": (WINDOW_NS * 2, STARTUP_NS * 2)}
    assert len(list(startup_violations(quick | late))) == 1
