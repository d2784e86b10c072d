"""The decoded history as a file of evidence, for people and their tools (`zcat history.jsonl.gz | jq`).

It is what the decoder made of the capture; a replay decodes the capture again instead of believing it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from kubewitness.model.history import History
from kubewitness.model.observation import Observation

FILE = "history.jsonl.gz"


def write(history: History, directory: Path) -> Path:
    """One JSON object a line, each with its ``kind``: statistics, what is missing, connections, messages."""
    file = directory / FILE
    with gzip.open(file, "wt", compresslevel=1, encoding="utf-8") as lines:
        for entry in _entries(history):
            lines.write(json.dumps(entry, default=_plain) + "\n")
    return file


def _entries(history: History) -> Iterator[dict[str, Any]]:
    yield {"kind": "CaptureStatistics", **asdict(history.statistics)}
    for why in history.missing:
        yield {"kind": "Missing", "why": why}
    for each in (*history.connections, *history.observations):
        yield {"kind": type(each).__name__, **_fields(each)}


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Observation):  # the request that an answer or event belongs to has its own line
        return {"first_frame": value.first_frame, "connection": value.connection, "stream": value.stream}
    if is_dataclass(value):
        return _fields(value)
    raise TypeError(f"{type(value).__name__} has no place in a decoded history")
