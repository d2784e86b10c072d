"""Provider ``existing``: a cluster that somebody else made and that goes on after the run."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from kubernetes.config import ConfigException

from kubewitness.assets.images import PAUSE, WITNESS
from kubewitness.clusters import objects
from kubewitness.clusters.api import Api, ApiError, Object, Unreachable, Waited, nodes, pods, service_accounts
from kubewitness.clusters.errors import ClusterError, Refused, UsageError
from kubewitness.clusters.guarding import NAMESPACES, GuardedApi, owned_namespaces, remove_namespaces
from kubewitness.clusters.nodes import Nodes, is_ready
from kubewitness.clusters.provider import KUBECTL_S
from kubewitness.clusters.storage import Storage
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.history import CaptureStatistics

_START_S = 120.0
_REPELLING = ("NoSchedule", "NoExecute")
Client = TypeVar("Client", bound=Api)
_HOPELESS = ("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")


@dataclass(frozen=True, slots=True)
class Access:
    """How a cluster is reached: a kubeconfig and one of its contexts, or its current one."""

    kubeconfig: Path
    context: str | None = None

    def api(self) -> Api:
        return self.client(Api)

    def client(self, make: Callable[[Path, str | None], Client]) -> Client:
        """What ``make`` makes of the file and the context; UsageError where these are of no use."""
        try:
            return make(self.kubeconfig, self.context)
        except (ConfigException, OSError, yaml.YAMLError, TypeError, AttributeError) as error:
            reason = "it does not exist" if not self.kubeconfig.exists() else str(error)
            raise UsageError(
                f"kubeconfig {self.kubeconfig} cannot be used: {reason}; name a file that"
                " `kubectl --kubeconfig` accepts, and a context of it by --context"
            ) from error


def discover(access: Access, *, disruption: bool) -> ClusterSpec:
    """What the cluster is: its version, how it is reached, and the nodes that any pod may run on."""
    api = access.api()
    try:
        version = api.get("/version")
        listed = api.get(nodes().path)["items"]
    except Unreachable as error:
        raise ClusterError(
            f"{error} (from {access.kubeconfig}); see that it is up and that this host may reach it"
        ) from error
    except ApiError as error:
        raise ClusterError(
            f"the user of {access.kubeconfig} lacks a right on {api.host}: {error}; a run must be allowed to"
            " read nodes, and to make namespaces and do everything in them"
        ) from error
    finally:
        api.close()
    names = sorted(each["metadata"]["name"] for each in listed if _takes_any_pod(each))
    if not names:
        raise ClusterError(
            f"the cluster at {api.host} has {len(listed)} nodes, but none is Ready, schedulable and without"
            " taints; a run needs one"
        )
    setup = Setup.INSECURE if api.host.startswith("http://") else Setup.TLS
    plain = re.match(r"v?(\d+\.\d+\.\d+)", version["gitVersion"])
    return ClusterSpec(
        plain[1] if plain else version["gitVersion"], Provider.EXISTING, setup, Topology.STANDARD,
        len(names), names=tuple(names), disruption=disruption,
    )  # fmt: skip


def _takes_any_pod(node: Object) -> bool:
    taints = node["spec"].get("taints") or []
    repelling = any(each["effect"] in _REPELLING for each in taints)
    return is_ready(node) and not repelling and not node["spec"].get("unschedulable")


class ExistingCluster:
    """Used as it is found. Whatever a run makes in it is gone after ``stop``."""

    def __init__(
        self,
        spec: ClusterSpec,
        access: Access,
        kubectl: Callable[[], Path],
        images: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self._access = access
        self._kubectl = kubectl
        self._progress = progress
        self._began = time.monotonic()
        self._tried_s = 0.0
        self._guarded = access.client(
            lambda file, context: GuardedApi(
                file, context, {PAUSE: PAUSE, **images}, disruption=spec.disruption
            )
        )
        self.api: Api = self._guarded

    def start(self) -> None:
        """Sees that the test images run on every node, since nothing could be judged without them."""
        self._began = time.monotonic()
        try:
            self._try_images()
        except BaseException:
            self.stop()
            raise

    def _try_images(self) -> None:
        namespace = f"kw-images-{self._guarded.run}"
        self.api.post(NAMESPACES, {"metadata": {"name": namespace}})
        what = "the default service account"
        self.api.wait(service_accounts(namespace), "default", bool, within_s=_START_S, what=what)
        for number, node in enumerate(self.spec.node_names):
            self.api.post(pods(namespace).path, _trial(f"trial-{number}", node))
        for number, node in enumerate(self.spec.node_names):
            try:
                self.api.wait(
                    pods(namespace), f"trial-{number}", _runs, within_s=_START_S, hopeless=_cannot_run,
                    what=f"the test images to run on {node}",
                )  # fmt: skip
            except Waited as error:
                raise ClusterError(
                    f"{error}\nThe images {WITNESS} and {PAUSE} must be on the nodes, or where the nodes can"
                    " pull them: `kubewitness assets witness agnhost` writes their archives; load these into"
                    " every node, or push them to a registry of yours and name them there with"
                    " --image witness=REFERENCE --image pause=REFERENCE."
                ) from error
        self._tried_s = time.monotonic() - self._began
        self._progress(
            f"existing: test images run on {len(self.spec.node_names)} nodes after {self._tried_s:.1f} s"
        )

    def stop(self) -> float:
        """Removes the run's namespaces, waits until they are gone, and undoes whatever else it changed."""
        began = time.monotonic()
        try:
            self._guarded.undo(self._progress)
        finally:
            self.api.close()
        return time.monotonic() - began

    def facts(self) -> dict[str, Any]:
        return {"start_s": {"test_images_running": round(self._tried_s, 3)}}

    def snapshot(self) -> Mapping[str, Sequence[Object]]:
        return objects.snapshot(self.api, self._guarded.namespaces)

    def kubectl(self, arguments: Sequence[str], stdin: object = None, *, within_s: float = KUBECTL_S) -> str:
        self._guarded.permit_kubectl(arguments, stdin)
        chosen = ["--context", self._access.context] if self._access.context else []
        argv = [str(self._kubectl()), "--kubeconfig", str(self._access.kubeconfig), *chosen, *arguments]
        sent = json.dumps(self._guarded.adapted(stdin))
        try:
            ended = subprocess.run(
                argv, input=sent, capture_output=True, text=True, timeout=within_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {' '.join(arguments)} did not end within {within_s:g} s") from error
        if ended.returncode:
            words = ended.stderr.strip()[-2000:]
            raise ClusterError(f"kubectl {' '.join(arguments)} failed with {ended.returncode}: {words}")
        return ended.stdout

    def barrier(self, note: str) -> CaptureStatistics:
        del note  # nothing is captured that it could travel past
        return CaptureStatistics(0, 0, ())

    @property
    def nodes(self) -> Nodes:
        return self._without_hands("add or switch off nodes of")

    @property
    def storage(self) -> Storage:
        return self._without_hands("put servers beside")

    @property
    def load_kubeconfig(self) -> Path:
        return self._without_hands("send loads to")

    def metrics(self, component: str) -> str:
        return self._without_hands(f"ask {component} of")

    def end(self, component: str) -> None:
        self._without_hands(f"end {component} of")

    def restart(self, component: str) -> None:
        self._without_hands(f"start {component} of")

    @staticmethod
    def _without_hands(what: str) -> NoReturn:
        raise Refused(f"provider existing cannot {what} a cluster that it did not make")


def _trial(name: str, node: str) -> Object:
    """Both images in one pod, which is put on a node past the scheduler."""
    containers = [
        {"name": image.rpartition("/")[2].partition(":")[0], "image": image, "imagePullPolicy": "Never"}
        for image in (WITNESS, PAUSE)
    ]
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _runs(pod: Object | None) -> bool:
    return pod is not None and bool(pod.get("status", {}).get("phase") == "Running")


def _cannot_run(pod: Object | None) -> bool:
    statuses = (pod or {}).get("status", {}).get("containerStatuses") or []
    reasons = [each.get("state", {}).get("waiting", {}).get("reason") for each in statuses]
    return pod is None or any(each in _HOPELESS for each in reasons)


def clean(access: Access) -> list[str]:
    """Removes the namespaces that runs left in a cluster; returns a line for each."""
    api = access.api()
    try:
        found = owned_namespaces(api)
        remove_namespaces(api, found)
    finally:
        api.close()
    return [f"namespace {name}" for name in found]
