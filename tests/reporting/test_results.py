"""What a stored run tells of its clusters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.needs import ENCRYPTED_TRAFFIC, READABLE_TRAFFIC, TLS_KEYS, offered
from kubewitness.reporting.results import Results, cluster_entry


def test_a_run_from_before_there_were_emulated_nodes_had_none(sample: dict[str, Any], tmp_path: Path) -> None:
    sample["clusters"][0]["emulated"] = 2
    (tmp_path / "results.json").write_text(json.dumps(sample))
    assert [each.emulated for each in Results.specs_of(tmp_path)] == [2, 0, 0]


def test_a_cluster_that_logs_keys_offers_readable_traffic_again_when_it_is_replayed(tmp_path: Path) -> None:
    spec = ClusterSpec("1.37", Provider.LOCAL, Setup.TLS, Topology.STANDARD, key_log=True)
    entry = cluster_entry(spec)
    assert entry["visibility"] == "decrypted"
    (tmp_path / "results.json").write_text(json.dumps({"clusters": [entry]}))
    (found,) = Results.specs_of(tmp_path)
    assert found == spec
    assert {READABLE_TRAFFIC, ENCRYPTED_TRAFFIC, TLS_KEYS} <= offered(found)
    assert not {READABLE_TRAFFIC, TLS_KEYS} & offered(replace(spec, key_log=False))
