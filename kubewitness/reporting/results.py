"""results.json: what a run found, from which every report is made."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewitness import __version__
from kubewitness.model.behaviour import Behaviour
from kubewitness.model.cluster import ClusterSpec, EngineName, Provider, Setup, Topology
from kubewitness.model.verdict import Verdict, Violation
from kubewitness.reporting import html, junit, schema
from kubewitness.reporting.changes import changes
from kubewitness.reporting.measured import Measured
from kubewitness.reporting.parts import joined
from kubewitness.reporting.story import Story
from kubewitness.reporting.timeline import timeline

SCHEMA = "kubewitness.results/v1"
_OURS = re.compile(re.escape(str(Path(__file__).parents[2])) + r"(?=/|$)")


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    reason: str = ""
    violations: tuple[Violation, ...] = ()


class Results:
    """Gathers a run's rows and writes them, with the reports, into ``directory``."""

    def __init__(
        self, directory: Path, started: datetime.datetime, command: Sequence[Any], judged: Path | None = None
    ) -> None:
        self.directory = directory
        self._judged = judged or directory  # the run whose evidence is judged
        self._started = started
        self._command = [_OURS.sub(".", str(each)) for each in command]
        self.rows: list[dict[str, Any]] = []
        self.clusters: dict[str, dict[str, Any]] = {}
        self.duration_s: dict[str, float] = {}

    @staticmethod
    def specs_of(directory: Path) -> list[ClusterSpec]:
        """The clusters of a stored run."""
        return [
            ClusterSpec(
                each["version"],
                Provider(each["provider"]),
                Setup(each["setup"]),
                Topology(each["topology"]),
                each["nodes"],
                tuple(each.get("mounts", ())),
                names=tuple(each.get("node_names", ())),
                disruption=each.get("disruption", False),
                emulated=each.get("emulated", 0),
                key_log=each.get("key_log", False),
                engine=EngineName(each.get("engine", {}).get("name", EngineName.OWN)),
                named=each.get("kind_name", ""),
                simulated=tuple(each.get("simulated", ())),
            )
            for each in Results.stored(directory)["clusters"]
        ]

    @staticmethod
    def stored(directory: Path) -> dict[str, Any]:
        """The results of a stored run."""
        found: dict[str, Any] = json.loads((directory / "results.json").read_text())
        return found

    def replay_command(self, nodeid: str) -> str:
        test = nodeid.rpartition("::")[2].partition("[")[0]
        return f"kubewitness replay {shlex.quote(_short(self._judged))} -k {shlex.quote(test)}"

    def explain(self, nodeid: str, declared: Behaviour, spec: ClusterSpec, outcome: Outcome) -> str:
        """What the terminal shows of a behaviour that did not pass."""
        cluster = f"{spec.label}, Kubernetes {spec.version}, provider {spec.provider}"
        lines = [
            f"{declared.id} ({declared.kind}) is {outcome.verdict} on {cluster}",
            f"  {declared.says}",
        ]
        for each in outcome.violations:
            frames = f" (packets {', '.join(map(str, each.frames))})" if each.frames else ""
            lines += [f"  wanted: {each.wanted}", f"  saw:    {each.seen}{frames}"]
        if not outcome.violations:
            lines.append(f"  {outcome.reason}")
        evidence = self._judged / "evidence" / spec.label
        return "\n".join([*lines, f"  evidence: {evidence}", f"  judge again: {self.replay_command(nodeid)}"])

    def add(
        self,
        nodeid: str,
        declared: Behaviour,
        spec: ClusterSpec,
        outcome: Outcome,
        story: Story | None,
        measured: Measured | None = None,
    ) -> None:
        # A cluster on which nothing could be judged was never made, but its rows name it.
        self.clusters.setdefault(spec.label, cluster_entry(spec))
        row: dict[str, Any] = {
            "id": declared.id,
            "area": declared.area,
            "says": declared.says,
            "kind": str(declared.kind),
            "needs": sorted(declared.needs),
            "source": {"title": declared.source.title, "url": declared.source.url},
            "since": declared.since,
            "until": declared.until,
            "cluster": spec.label,
            "verdict": str(outcome.verdict),
            "reason": outcome.reason,
            "violations": [
                {"wanted": each.wanted, "seen": each.seen, "frames": list(each.frames)}
                for each in outcome.violations
            ],
            "duration_s": round(self.duration_s[nodeid], 4),
            "nodeid": nodeid,
            "replay": self.replay_command(nodeid),
            "timeline": timeline(story) if story else None,
            "changes": changes(story.history) if story else [],
            **({"measured": measured} if measured and outcome.verdict != Verdict.UNSUPPORTED else {}),
        }
        for place, known in enumerate(self.rows):
            if (known["id"], known["cluster"]) == (declared.id, spec.label):
                self.rows[place] = joined(known, row)
                return
        self.rows.append(row)

    def as_json(self, exit_code: int) -> dict[str, Any]:
        finished = datetime.datetime.now(datetime.UTC)
        counted = Counter(row["verdict"] for row in self.rows)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        return {
            "schema": SCHEMA,
            "run": {
                "id": self.directory.name,
                "started": self._started.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "finished": finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "duration_s": round((finished - self._started).total_seconds(), 3),
                "kubewitness": __version__,
                "command": ["pytest", *self._command],
                "host": {
                    "kernel": platform.release(),
                    "machine": platform.machine(),
                    "python": platform.python_version(),
                    "cores": os.cpu_count() or 1,
                    "memory_mib": memory,
                },
                "exit_code": exit_code,
                "summary": {str(each): counted.get(str(each), 0) for each in Verdict},
            },
            "clusters": list(self.clusters.values()),
            "results": self.rows,
        }

    def write(self, exit_code: int, replayed: Path | None) -> None:
        """Validates and writes results.json, junit.xml and report.html, and points `latest` at them."""
        self.directory.mkdir(parents=True, exist_ok=True)
        content = self.as_json(exit_code)
        schema.validate(content)
        (self.directory / "results.json").write_text(json.dumps(content, indent=1, allow_nan=False))
        junit.write(content, self.directory / "junit.xml")
        html.render(content, self.directory / "report.html")
        if replayed is None:
            link = self.directory.parent / "latest"
            fresh = self.directory.parent / f".latest-{os.getpid()}"
            fresh.symlink_to(self.directory.name)
            fresh.replace(link)

    def summary_line(self) -> str:
        counted = Counter(row["verdict"] for row in self.rows)
        return ", ".join(f"{counted.get(str(each), 0)} {each}" for each in Verdict)


def cluster_entry(spec: ClusterSpec) -> dict[str, Any]:
    """What is known of a cluster before it is made."""
    return {
        "label": spec.label,
        "version": spec.version,
        "provider": spec.provider,
        "setup": str(spec.setup),
        "topology": str(spec.topology),
        "nodes": spec.nodes,
        "mounts": list(spec.mounts),
        "emulated": spec.emulated,
        "key_log": spec.key_log,
        "insecure_port": str(spec.insecure_port),
        "visibility": _visibility(spec),
        "start_s": {},
        "teardown_s": None,
        "capture": None,
        "evidence": f"evidence/{spec.label}",
        "binaries": [],
        **({"simulated": list(spec.simulated)} if spec.simulated else {}),
        **({"kind_name": spec.kind_name} if spec.provider is Provider.KIND else {}),
        **({"node_names": list(spec.names), "disruption": spec.disruption} if spec.names else {}),
    }


def _visibility(spec: ClusterSpec) -> str:
    if spec.provider is Provider.EXISTING:
        return "uncaptured"
    if spec.setup is Setup.INSECURE:
        return "plaintext"
    return "decrypted" if spec.key_log else "encrypted"


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
