"""Peers of the load generator that create pods, each a command that prints what it took, as JSON.

``python -m tests.bench.creators KUBECONFIG PREFIX COUNT THREADS`` is the official Python client, used as its
examples use it; ``go_creator`` builds the one in creator.go with the cluster's own client-go.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kubernetes import client, config

from kubewitness.assets.building import build, prepared
from kubewitness.assets.golang import Toolchain
from kubewitness.assets.recipes import Bundle
from kubewitness.assets.store import cache_root
from tests.bench.timing import processor_s

_SOURCE = Path(__file__).with_name("creator.go")
SPEC = {"containers": [{"name": "main", "image": "none"}]}


def pod(name: str) -> Any:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": SPEC}


def go_creator(kubernetes: str) -> Path | None:
    """The program, built once for each version of Kubernetes and of itself; None without Go."""
    go = Toolchain.find()
    if go is None:
        return None
    version = f"0.{kubernetes.partition('.')[2]}"
    bundle = Bundle(
        name="creator",
        module="k8s.io/client-go",
        version=version,
        packages={"creator": "kubewitness.example/creator"},
        main=_SOURCE.read_text(),
    )
    kept = cache_root() / "bench" / f"creator-{version}-{bundle.key()}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=kept.parent) as folder,
            prepared(go, bundle, ["creator"], Path(folder)) as preparation,
        ):
            made = build(preparation, print)["creator"].file
            shutil.move(made, kept)
    return kept


def main() -> None:
    kubeconfig, prefix, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
    api = client.CoreV1Api()
    api.list_namespaced_pod("default", limit=1)
    bodies = [pod(f"{prefix}-{number}") for number in range(count)]
    began, before = time.perf_counter(), processor_s()
    if threads == 1:
        for body in bodies:
            api.create_namespaced_pod("default", body)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for each in [pool.submit(api.create_namespaced_pod, "default", body) for body in bodies]:
                each.result()
    took_s = time.perf_counter() - began
    print(json.dumps({"took_s": took_s, "processor_s": processor_s() - before}))


if __name__ == "__main__":
    main()
