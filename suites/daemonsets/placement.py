"""For which nodes pods were made, as their affinity and their bindings say."""

from __future__ import annotations

from collections.abc import Iterable

from kubewitness.checks.selecting import created_in
from kubewitness.model.history import History
from kubewitness.model.observation import ApiObject, ApiRequest


def affine_node(pod: ApiObject) -> str:
    """The node that a DaemonSet's pod was made for: the controller names it in a required affinity."""
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (fields,) = [term["matchFields"] for term in required["nodeSelectorTerms"]]
    (node,) = [each["values"][0] for each in fields if each["key"] == "metadata.name"]
    return str(node)


def affine_nodes(pods: Iterable[ApiObject]) -> list[str]:
    return sorted(map(affine_node, pods))


def binding_targets(history: History, namespace: str) -> list[str]:
    """The nodes that the default scheduler bound pods of a namespace to."""
    posted = created_in(namespace, "pods/binding", "kube-scheduler").all(history)
    return sorted(str((each.body or {})["target"]["name"]) for each in posted if isinstance(each, ApiRequest))
