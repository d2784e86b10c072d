"""What the clusters that this host holds have in common: a keeper, a run, evidence, and a capture."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from kubewitness.assets import Assets
from kubewitness.capture.barriers import barrier
from kubewitness.capture.reading import FILE, KEYS_FILE
from kubewitness.capture.ring import CAPTURE
from kubewitness.clusters import configuration, network, objects, runs
from kubewitness.clusters.api import Api, ApiError, Object, Unreachable
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.forward import LOOPBACK
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.nodes import START_S
from kubewitness.clusters.provider import KUBECTL_S
from kubewitness.model.cluster import ClusterSpec
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.verdict import Inconclusive

PACKAGE_ROOT = Path(__file__).parents[2]
_FORWARD = Path(__file__).with_name("forward.py")
_CAPTURE_ENDS_S = 10.0
CONTROL_PLANE = "cp"  # the keeper's name for the namespaces in which the control plane is


@dataclass
class KeptCluster:
    """A cluster whose every part ends with its keeper. ``timings_s`` are seconds from the start's beginning.

    ``inside`` is the control plane's address on the link to the host, ``client_kubeconfig`` that of a client
    in the control plane's own network.
    """

    spec: ClusterSpec
    assets: Assets
    evidence: Path | None  # None: the run's own directory
    progress: Callable[[str], None]
    timings_s: dict[str, float] = field(default_factory=dict)
    #: Its process has one name, by which the capture knows it, and drives run side by side.
    _one_kubectl: threading.Lock = field(default_factory=threading.Lock)
    _failed: bool = field(init=False, default=False)
    _logs: Path | None = field(init=False, default=None)  # where they are kept

    api: Api = field(init=False)
    kubeconfig: Path = field(init=False)
    client_kubeconfig: Path = field(init=False)
    binaries: Path = field(init=False)
    captured: Path = field(init=False)
    link_address: str = field(init=False)
    inside: str = field(init=False)

    def start(self) -> None:
        """Brings everything up; whatever fails, nothing is left behind but the evidence.

        Where that would go with the run's own directory, the logs stay, and the error tells where.
        """
        self._began = time.monotonic()
        self.run = runs.create(self.progress)
        self.keeper: Keeper | None = None
        try:
            self.captured = self.evidence or self.run.directory / "evidence"
            self.captured.mkdir(parents=True, exist_ok=True)
            self.binaries = self.run.directory / "bin"
            self.binaries.mkdir()
            for name, asset in self.assets.binaries.items():
                (self.binaries / name).symlink_to(asset.path)
            self.link_address, self.inside = network.free_link_addresses()
            self._start()
            self._describe()
        except ClusterError as error:
            raise ClusterError("\n".join([str(error), *self._give_up()])) from error
        except BaseException:
            self.stop()
            raise

    def _give_up(self) -> Iterator[str]:
        """Ends what did not come up, but keeps its logs; yields what else there is to tell of that."""
        self._failed = True
        try:
            self.stop()
        except ClusterError as error:
            yield str(error)
        if self._logs is not None:
            yield f"its logs are kept in {self._logs}"

    def _start(self) -> None:
        raise NotImplementedError

    def stop(self) -> float:
        """Ends every process, keeps the logs as evidence, removes the rest. Returns seconds taken."""
        began = time.monotonic()
        if self.keeper is not None:
            try:
                if self.evidence is not None:
                    self._end_capture(self.keeper)
            finally:
                runs.remove_link(self.run.link)
                self.keeper.close()
        self._keep_logs(self.run.directory / "logs")
        self.run.remove()
        return time.monotonic() - began

    def _end_capture(self, keeper: Keeper) -> None:
        """All else is killed; the capture ends with its statistics in its last file."""
        if "capture" not in keeper.processes or keeper.ended("capture"):
            return
        keeper.dismiss("capture")
        try:
            keeper.signal("capture", signal.SIGTERM)
            keeper.wait_exit("capture", _CAPTURE_ENDS_S)
        except ClusterError as error:
            self.progress(f"{self.spec.label}: the capture ends without its statistics: {error}")

    def _keep_logs(self, logs: Path) -> None:
        if not any(each.is_file() and each.stat().st_size for each in logs.rglob("*")):
            return
        if self.evidence is not None:
            self._logs = self.evidence / "logs"
        elif self._failed:
            self._logs = runs.failure(self.run)
        if self._logs is not None:
            shutil.copytree(logs, self._logs, dirs_exist_ok=True)

    def publish(self, port: int) -> Path:
        """Makes the API server reachable on a port of the host's loopback; the kubeconfig for it."""
        assert self.keeper is not None
        content = json.loads(self.kubeconfig.read_text())
        (cluster,) = (each["cluster"] for each in content["clusters"])
        server = urlsplit(cluster["server"])
        argv = [sys.executable, "-I", "-S", _FORWARD, port, self.inside, server.port]
        self.keeper.spawn("forward", argv, notify=True)
        self.keeper.wait_ready("forward", START_S)
        cluster["server"] = f"{server.scheme}://{LOOPBACK}:{port}"
        path = self.kubeconfig.with_name("published.json")
        configuration.write_json(path, content)
        path.chmod(0o600)
        return path

    def facts(self) -> dict[str, Any]:
        return {
            "version": self.assets.kubernetes,
            "start_s": {key.removesuffix("_s"): value for key, value in self.timings_s.items()},
            "binaries": self.assets.facts(),
        }

    def snapshot(self) -> Mapping[str, Sequence[Object]]:
        return objects.snapshot(self.api)

    def kubectl(self, arguments: Sequence[str], stdin: object = None, *, within_s: float = KUBECTL_S) -> str:
        """Runs inside the control plane, as a client on its loopback."""
        assert self.keeper is not None
        given, printed = (self.run.directory / f"kubectl.{each}" for each in ("stdin", "stdout"))
        argv = [self.binaries / "kubectl", "--kubeconfig", self.client_kubeconfig, *arguments]
        with self._one_kubectl:
            given.write_text(json.dumps(stdin))
            self.keeper.run("kubectl", argv, ns=CONTROL_PLANE, stdin=given, stdout=printed, within_s=within_s)
            return printed.read_text()

    def barrier(self, note: str) -> CaptureStatistics:
        assert self.keeper is not None
        if died := self.keeper.died():
            raise Inconclusive(f"the cluster is not what it was: {died}")
        return barrier(self.inside, note)

    def _describe(self) -> None:
        """For whoever ends it, or asks what is up."""
        configuration.write_json(
            self.run.directory / "cluster.json",
            {
                "id": self.run.id,
                "version": self.assets.kubernetes,
                "provider": self.spec.provider,
                "setup": self.spec.setup,
                "topology": self.spec.topology,
                "nodes": self.spec.nodes,
                "emulated": self.spec.emulated,
                "kubeconfig": str(self.kubeconfig),
            },
        )

    def _mark(self, what: str) -> None:
        self.timings_s[what] = round(time.monotonic() - self._began, 3)
        reached = what.removesuffix("_s").replace("_", " ")
        self.progress(f"{self.spec.label}: {reached} after {self.timings_s[what]:.1f} s")

    def _link_host(self) -> list[str]:
        """Lines for ``ip -batch`` on the host, when the control plane has its end of the link."""
        link = self.run.link
        return [f"address add {self.link_address}/30 dev {link}", f"link set {link} up"]

    def _capture(
        self,
        keeper: Keeper,
        interfaces: Sequence[str],
        addresses: Mapping[str, str],
        marks: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Everything on these interfaces of the control plane; ``addresses`` tell whose each is.

        ``marks`` are those of components that the keeper did not start.
        """
        rules = self.run.directory / "marking.nft"
        rules.write_text(network.marking() + "\n")
        nft = shutil.which("nft") or "/usr/sbin/nft"
        keeper.run("marking", [nft, "-f", rules], ns=CONTROL_PLANE)
        places = {
            "addresses": {self.link_address: "host"} | dict(addresses),
            "processes": {str(os.getpid()): "suite"},
            "marks": {str(mark): component for mark, component in marks.items()},
        }
        path = {"PYTHONPATH": os.pathsep.join([str(PACKAGE_ROOT), *filter(None, sys.path)])}
        keys = [self.captured / KEYS_FILE] if self.spec.key_log else []
        programs: list[tuple[str, str, list[str | Path], list[str], Sequence[int]]] = [
            ("sockets", "kubewitness.capture.sockets",
             [self.captured / "sockets.jsonl", self.run.directory, json.dumps(places)],
             ["openings", "marked openings"], ()),
            ("capture", "kubewitness.capture.daemon",
             [self.captured / FILE, *keys], ["everything"], CAPTURE.request),
        ]  # fmt: skip
        for name, module, arguments, only, ring in programs:
            keeper.spawn(
                name, [sys.executable, "-m", module, *arguments], ns=CONTROL_PLANE, env=path,
                captures=[
                    {"ns": CONTROL_PLANE, "interfaces": [*interfaces], "only": each, "ring": [*ring]}
                    for each in only
                ],
            )  # fmt: skip

    def _wait_until_ready(self) -> None:
        """From "serving" to "ready" there is no event to wait for, only /readyz to ask."""
        deadline = time.monotonic() + START_S
        last: Exception | None = None
        while time.monotonic() < deadline:
            try:
                self.api.get("/readyz")
                return
            except (ApiError, Unreachable) as error:
                last = error
            time.sleep(0.02)
        raise ClusterError(f"the API server serves but was not ready within {START_S:g} s: {last}")
