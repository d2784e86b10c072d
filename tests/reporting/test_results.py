"""What a stored run tells of its clusters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubewitness.model.cluster import ClusterSpec, EngineName, Provider, Setup, Topology
from kubewitness.model.needs import ENCRYPTED_TRAFFIC, READABLE_TRAFFIC, TLS_KEYS, offered
from kubewitness.reporting import schema
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


def test_a_cluster_in_an_engine_of_the_hosts_is_judged_again_by_the_names_of_its_nodes(
    sample: dict[str, Any], tmp_path: Path
) -> None:
    spec = ClusterSpec(
        "1.37.2", Provider.KIND, Setup.TLS, Topology.STANDARD, 2, engine=EngineName.PODMAN, named="kw-tls-1"
    )
    own = ClusterSpec("1.37.2", Provider.KIND, Setup.INSECURE, Topology.STANDARD, 2)
    engine = {"name": "podman", "version": "4.3.1", "runtime": "crun", "restricted": False}
    sample["clusters"] += [cluster_entry(spec) | {"engine": engine}, cluster_entry(own)]
    schema.validate(sample)
    (tmp_path / "results.json").write_text(json.dumps(sample))
    *_, again, own_again = Results.specs_of(tmp_path)
    assert again == spec
    assert own_again.node_names == own.node_names
