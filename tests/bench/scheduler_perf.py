"""Kubernetes' own measure of its scheduler, scheduler_perf, as a peer: what it finds on this host.

API server, scheduler and the client that creates the pods are one process, which talks to itself by TLS on
loopback and shares one limit of 5,000 requests a second. Nodes are objects only. etcd is a process beside it
(the first on PATH), reached by a Unix socket; its data is in TMPDIR and it does fsync, unlike that of a local
cluster. The pods are all created at once, and bound meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kubewitness.assets import AssetError, Origin, resolve
from kubewitness.assets.building import COMPILER, MODULES, go_mod, memory
from kubewitness.assets.golang import GoError, Toolchain, elapsed
from kubewitness.assets.recipes import Bundle, bundles
from kubewitness.assets.store import Progress, Store, cache_root

_NAME = "scheduler-perf"
_MODULE = "k8s.io/kubernetes"
_PACKAGE = f"{_MODULE}/test/integration/scheduler_perf/misc"
_CASE, _WORKLOAD = "SchedulingBasic", "ours"
_FLAGS = ("-test.run=^$", "-test.benchtime=1x", "-test.timeout=30m", "-perf-scheduling-label-filter=")


@dataclass(frozen=True, slots=True)
class Measured:
    """``pods_per_s`` is the mean of the rates of each second, which are ``each_s``: (s, pods bound, pods/s).

    ``throughput`` and ``attempt_ms`` have its percentiles ("Perc50", "Average"); those of attempts are of a
    scheduling cycle with its binding, for pods that were ``scheduled``.
    """

    nodes: int
    pods: int
    pods_per_s: float
    throughput: Mapping[str, float]
    attempt_ms: Mapping[str, float]
    each_s: Sequence[tuple[float, int, float]]
    took_s: float
    facts: Mapping[str, Any]


def built(go: Toolchain, version: str, progress: Progress) -> Path:
    """Its test binary for an exact version, made once: minutes, or less where Kubernetes was built before."""
    store = Store(cache_root())
    bundle = replace(bundles(version)[0], name=_NAME, packages={_NAME: _PACKAGE}, releases={})
    if found := store.find(_NAME, version, bundle.key()):
        return found.path
    with store.workplace(f"{_NAME}-{version}", progress) as work:
        try:
            file = _compiled(go, bundle, work, progress)
        except GoError as error:
            raise AssetError(f"{_NAME} {version} cannot be built: {error}") from error
        made = store.add(file, _NAME, version, bundle.key(), origin=Origin.BUILD, true_version=version)
    return made.path


def _compiled(go: Toolchain, bundle: Bundle, work: Path, progress: Progress) -> Path:
    (work / "go.mod").write_text(go_mod(bundle, go.requirements(bundle.module, bundle.version)))
    target, start = work / _NAME, time.monotonic()
    arguments = ["test", MODULES, "-c", "-vet=off", "-trimpath", COMPILER, "-o", str(target), _PACKAGE]
    with go.start(arguments, work, CGO_ENABLED="0", **memory()) as run:
        run.wait(lambda _: progress(f"{_NAME}: building, {elapsed(start)}"))
    return target


def measure(version: str, nodes: int, init_pods: int, pods: int, progress: Progress) -> Measured:
    """Binds ``pods`` pods to ``nodes`` empty nodes after ``init_pods`` others, as SchedulingBasic does."""
    go = Toolchain.find()
    if go is None:
        raise AssetError(f"{_NAME} is built by Go, and there is no Go on PATH")
    program = built(go, version, progress)
    etcd = resolve(version, ["etcd"], progress=progress).path("etcd")
    with TemporaryDirectory(prefix="scheduler-perf-") as place:
        folder, results = Path(place, "misc"), Path(place, "results")
        _lay(folder, nodes, init_pods, pods)
        environment = {
            **os.environ,
            "PATH": f"{etcd.parent}:{os.environ['PATH']}",
            "TMPDIR": place,  # etcd's data
            "ARTIFACTS": place,  # the log; it goes to a file, as in its own CI
            # It looks for files beside its own source, whose path is cut off (-trimpath), as it is by Bazel.
            "TEST_SRCDIR": go.ask("env", "GOMODCACHE").strip(),
            "TEST_WORKSPACE": ".",
            "KUBE_CACHE_MUTATION_DETECTOR": "false",
            "ETCD_LOGLEVEL": "warn",
        }
        argv: list[str | Path] = [
            program,
            f"-test.bench=BenchmarkPerfScheduling/{_CASE}/{_WORKLOAD}",
            *_FLAGS,
        ]
        began = time.monotonic()
        argv.append(f"-data-items-dir={results}")
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        took_s = time.monotonic() - began
        files = sorted(results.glob("*.json")) if results.is_dir() else []
        if done.returncode or not files:
            told = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise AssertionError(f"{_NAME} ended with status {done.returncode}:\n{told}")
        items = json.loads(files[-1].read_text())["dataItems"]
        (progress_file,) = results.glob("*.dat")
        facts = {"etcd": str(etcd), "GOMAXPROCS": os.cpu_count() or 1}
        return read(nodes, pods, items, progress_file.read_text(), took_s, facts)


def read(
    nodes: int,
    pods: int,
    items: Sequence[Mapping[str, Any]],
    rates: str,
    took_s: float,
    facts: Mapping[str, Any],
) -> Measured:
    """From what it wrote: its data items, and one line for each second."""

    def one(holds: Callable[[Mapping[str, str]], bool]) -> dict[str, float]:
        (found,) = (each["data"] for each in items if holds(each["labels"]))
        return dict(found)

    throughput = one(lambda labels: labels["Metric"] == "SchedulingThroughput")
    attempt = one(
        lambda labels: (
            labels["Metric"] == "scheduler_scheduling_attempt_duration_seconds"
            and labels["result"] in ("scheduled", "not applicable")
        )
    )
    lines = (line.split() for line in rates.splitlines())
    each_s = [(float(at.removesuffix("s")), int(total), float(rate)) for at, _, _, total, rate, *_ in lines]
    return Measured(nodes, pods, throughput["Average"], throughput, attempt, each_s, took_s, facts)


def _lay(folder: Path, nodes: int, init_pods: int, pods: int) -> None:
    """Its configuration, read from the folder that it runs in: JSON, which is YAML."""
    create = {"opcode": "createPods"}
    case = {
        "name": _CASE,
        "defaultPodTemplatePath": "pod.yaml",
        "workloadTemplate": [
            {"opcode": "createNodes", "countParam": "$nodes"},
            create | {"countParam": "$initPods"},
            create | {"countParam": "$pods", "collectMetrics": True},
        ],
        "workloads": [{"name": _WORKLOAD, "params": {"nodes": nodes, "initPods": init_pods, "pods": pods}}],
    }
    wanted = {"cpu": "100m", "memory": "500Mi"}
    container = {
        "name": "pause",
        "image": "registry.k8s.io/pause:3.10.2",
        "ports": [{"containerPort": 80}],
        "resources": {"limits": wanted, "requests": wanted},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "pod-"},
        "spec": {"containers": [container]},
    }
    folder.mkdir()
    (folder / "performance-config.yaml").write_text(json.dumps([case]))
    (folder / "pod.yaml").write_text(json.dumps(pod))


if __name__ == "__main__":
    version, nodes, init_pods, pods = sys.argv[1:]  # such as 1.37.2 5000 1000 10000
    found = measure(version, int(nodes), int(init_pods), int(pods), lambda line: print(line, file=sys.stderr))
    print(json.dumps(asdict(found)))
