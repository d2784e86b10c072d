"""The decoded history as lines that other tools can read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from kubewitness.capture import decoded
from tests.checks import histories as made


def lines(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt") as content:
        return [json.loads(line) for line in content]


def test_each_message_is_a_line_with_its_kind(tmp_path: Path) -> None:
    asked = made.request(1, body={"kind": "Pod"})
    history = made.history(
        asked, made.response(2, asked, {"kind": "Pod"}), made.txn(4, made.pod()),
        connections=(made.connection("kube-apiserver"),), missing=("a packet was lost",),
    )  # fmt: skip
    written = lines(decoded.write(history, tmp_path))
    kinds = ["CaptureStatistics", "Missing", "Connection", "ApiRequest", "ApiResponse", "EtcdResponse"]
    assert [each["kind"] for each in written] == kinds
    assert written[1]["why"] == "a packet was lost"
    assert written[3]["sender"] == {"component": "kubectl", "pid": 7, "claimed": "", "claimed_by": ""}
    assert written[3]["body"] == {"kind": "Pod"}


def test_an_answer_points_at_its_request(tmp_path: Path) -> None:
    asked = made.request(1)
    (*_, answer) = lines(decoded.write(made.history(asked, made.response(2, asked)), tmp_path))
    assert answer["request"] == {"first_frame": 1, "connection": 1, "stream": 1}
