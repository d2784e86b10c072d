"""The API of a cluster that is not ours: what a run may change in it, and how all of it is undone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubewitness.clusters.api import Api, ApiError, Object, Resource
from kubewitness.clusters.errors import ClusterError, Refused

#: Every namespace that a run makes bears it, so that those of a killed run can be found.
OWNED = "kubewitness.example/run"
NAMESPACES = "/api/v1/namespaces"
_REMOVED_S = 180.0
_IN_NAMESPACE = re.compile(r"^/apis?/.*?namespaces/([^/]+)(/|$)")
_NODE = re.compile(r"^/api/v1/nodes/[^/]+$")
_ASKING = re.compile(r"/(subjectaccessreviews|selfsubject\w+|tokenreviews)$")  # a POST that changes nothing
_READING = ("get", "describe", "logs", "events")


class GuardedApi(Api):
    """Writes only into namespaces of its own, unless ``disruption`` is allowed; then it undoes the rest, too.

    ``images`` are those that nodes may pull, each with the reference under
    which they find it.
    """

    def __init__(
        self, kubeconfig: Path, context: str | None, images: Mapping[str, str], *, disruption: bool
    ) -> None:
        super().__init__(kubeconfig, context)
        self.run = secrets.token_hex(3)
        self.namespaces: list[str] = []
        self._images = images
        self._disruption = disruption
        self._made: list[str] = []
        self._nodes: dict[str, Object] = {}

    def request(self, method: str, path: str, body: object = None, **more: Any) -> Object:
        if method == "GET" or _ASKING.search(path):
            return super().request(method, path, body, **more)
        if path == NAMESPACES and method == "POST" and isinstance(body, dict):
            return self._make_namespace(body, **more)
        own = self._is_own(path)
        self._permit(f"{method} {path}", own=own, body=body)
        if not own:
            self._remember(path)
        answer = super().request(method, path, self.adapted(body), **more)
        if not own and method == "POST":
            self._made.append(f"{path}/{answer['metadata']['name']}")
        return answer

    def _make_namespace(self, body: Mapping[str, Any], **more: Any) -> Object:
        labels = {**(body["metadata"].get("labels") or {}), OWNED: self.run}
        labelled = {**body, "metadata": {**body["metadata"], "labels": labels}}
        made = super().request("POST", NAMESPACES, labelled, **more)
        self.namespaces.append(made["metadata"]["name"])
        return made

    def _is_own(self, path: str) -> bool:
        found = _IN_NAMESPACE.match(path)
        return found is not None and found[1] in self.namespaces

    def permit_kubectl(self, arguments: Sequence[str], stdin: object) -> None:
        """Raises Refused for a command that is not known to keep to namespaces of the run."""
        named = [arguments[at + 1] for at, each in enumerate(arguments[:-1]) if each == "-n"]
        if isinstance(stdin, dict):
            named.append(stdin["metadata"].get("namespace", ""))
        own = arguments[0] in _READING or (bool(named) and all(each in self.namespaces for each in named))
        self._permit(f"kubectl {' '.join(arguments)}", own=own, body=stdin)

    def _permit(self, what: str, *, own: bool, body: object) -> None:
        reach = sorted(set(_reaches_out(body)))
        if self._disruption or (own and not reach):
            return
        why = f"uses {', '.join(reach)}" if own else "is outside of the namespaces that this run made"
        raise Refused(f"{what} {why}; --allow-disruption permits it")

    def adapted(self, body: object) -> Any:
        """The same manifest, with images by the references under which this cluster's nodes pull them."""
        if isinstance(body, list):
            return [self.adapted(each) for each in body]
        if not isinstance(body, dict):
            return body
        found = {key: self.adapted(value) for key, value in body.items()}
        if found.get("image") in self._images and "imagePullPolicy" in found:
            found |= {"image": self._images[found["image"]], "imagePullPolicy": "IfNotPresent"}
        return found

    def _remember(self, path: str) -> None:
        """How a node was before its first change."""
        if _NODE.match(path) and path not in self._nodes:
            self._nodes[path] = self.get(path)

    def undo(self, tell: Callable[[str], None]) -> None:
        """Removes all that was made, and gives nodes back their labels, taints and being schedulable."""
        failed = []
        for path, before in self._nodes.items():
            try:
                now = self.get(path)
                if change := _back(before, now):
                    self.patch(path, change)
            except ApiError as error:
                failed.append(str(error))
        for path in reversed(self._made):
            try:
                self.delete(path)
            except ApiError as error:
                if error.status != 404:  # its test has removed it
                    failed.append(str(error))
        if self.namespaces:
            tell(f"existing: removing {len(self.namespaces)} namespaces")
        remove_namespaces(self, self.namespaces)
        if failed:
            raise ClusterError(f"not everything could be undone: {'; '.join(failed)}")


def _back(before: Object, now: Object) -> Object:
    """The merge patch that makes a node's labels, taints and schedulability what they were."""
    were, are = (each["metadata"].get("labels") or {} for each in (before, now))
    labels = {key: were.get(key) for key in {*were, *are} if were.get(key) != are.get(key)}
    spec = {
        key: before["spec"].get(key)
        for key in ("taints", "unschedulable")
        if before["spec"].get(key) != now["spec"].get(key)
    }
    return {**({"metadata": {"labels": labels}} if labels else {}), **({"spec": spec} if spec else {})}


def _reaches_out(body: object) -> Iterator[str]:
    """What in a manifest gives its pods a hand on their nodes."""
    if isinstance(body, list):
        for each in body:
            yield from _reaches_out(each)
    elif isinstance(body, dict):
        if body.get("hostPath"):
            yield "hostPath"
        if body.get("privileged") is True:
            yield "privileged containers"
        for each in body.values():
            yield from _reaches_out(each)


def owned_namespaces(api: Api) -> list[str]:
    """The namespaces that runs made, whoever ran them."""
    listed = api.request("GET", NAMESPACES, query={"labelSelector": OWNED})
    return [each["metadata"]["name"] for each in listed["items"]]


def remove_namespaces(api: Api, names: Sequence[str]) -> None:
    """Returns when they are gone, with all that is in them."""
    for name in names:
        api.delete(f"{NAMESPACES}/{name}")
    for name in names:
        api.wait(
            Resource(NAMESPACES), name, lambda found: found is None,
            within_s=_REMOVED_S, what=f"namespace {name} to be gone",
        )  # fmt: skip
