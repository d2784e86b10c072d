"""A CSI driver as its users deploy one: on each node, beside the provisioner for that node's volumes.

What no namespace holds, such as the StorageClass, is named as the driver is, which begins with a namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from fixtures.stage import Scene
from kubewitness.assets.images import CSI_DRIVER, CSI_PROVISIONER
from kubewitness.checks.selecting import metadata, node_of
from kubewitness.clusters.api import Resource, collection_of, pods
from kubewitness.clusters.following import State
from kubewitness.model.observation import ApiObject
from suites import manifests
from suites.manifests import Manifest
from suites.states import app, is_ready
from suites.volumes.mounting import host_path, mount, volume

CSI_NODES = Resource("/apis/storage.k8s.io/v1/csinodes")
STORAGE, RBAC = "storage.k8s.io/v1", "rbac.authorization.k8s.io/v1"
KUBELET = "/var/lib/kubelet"
APP = "csi"
#: What the provisioner asks of the API server.
RULES = {
    "persistentvolumes": ["get", "list", "watch", "create", "patch", "delete"],
    "persistentvolumeclaims": ["get", "list", "watch", "update"],
    "events": ["create", "patch"],
    "nodes": ["get", "list", "watch"],
    "storageclasses": ["get", "list", "watch"],
    "csinodes": ["get", "list", "watch"],
}


def driver_name(namespace: str) -> str:
    return f"{namespace}.csi.kubewitness.example"


def daemon_sets(namespace: str) -> Resource:
    return Resource(f"/apis/apps/v1/namespaces/{namespace}/daemonsets")


def topology_key(driver: str) -> str:
    """The label by which the driver tells nodes apart."""
    return f"{driver}/node"


def inline(name: str, driver: str) -> Manifest:
    """A pod's volume that the driver makes for this pod alone."""
    return volume(name, csi={"driver": driver})


def install(scene: Scene, namespace: str) -> None:
    """Creates the driver in a namespace. Does not wait for it."""
    for each in of_cluster(driver_name(namespace), namespace):
        scene.create("", each)
    scene.create(namespace, service_account())
    scene.create(namespace, daemon_set(driver_name(namespace)))


def uninstall(scene: Scene, namespace: str) -> None:
    """Deletes what is not the namespace's. Its DaemonSet is to be gone by then."""
    for each in of_cluster(driver_name(namespace), namespace):
        scene.delete(collection_of(each, "").item(metadata(each)["name"]))


def service_account() -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": APP}}


def of_cluster(driver: str, namespace: str) -> list[Manifest]:
    def named(version: str, kind: str, **fields: Any) -> Manifest:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": driver}, **fields}

    rules = [
        {"apiGroups": ["", "storage.k8s.io"], "resources": [kind], "verbs": verbs}
        for kind, verbs in RULES.items()
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": driver}
    account = {"kind": "ServiceAccount", "name": APP, "namespace": namespace}
    modes = ["Persistent", "Ephemeral"]
    described = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": modes}
    return [
        named(RBAC, "ClusterRole", rules=rules),
        named(RBAC, "ClusterRoleBinding", roleRef=role, subjects=[account]),
        named(STORAGE, "CSIDriver", spec=described),
        named(
            STORAGE, "StorageClass", provisioner=driver, reclaimPolicy="Delete",
            volumeBindingMode="WaitForFirstConsumer",
        ),
    ]  # fmt: skip


def daemon_set(driver: str) -> Manifest:
    own = f"{KUBELET}/plugins/{driver}"
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    serving = manifests.container(
        CSI_DRIVER, "driver", args=[driver, "$(NODE_NAME)"], env=[node],
        securityContext={"privileged": True},  # or its mounts would not be the node's
        volumeMounts=[
            mount("own", own),
            mount("registry", f"{KUBELET}/plugins_registry"),
            mount("pods", f"{KUBELET}/pods", mountPropagation="Bidirectional"),
        ],
        **manifests.ready_probe(),
    )  # fmt: skip
    # Each makes and deletes the volumes of its own node, so none has to be elected.
    provisioning = manifests.container(
        CSI_PROVISIONER, "provisioner", env=[node], volumeMounts=[mount("own", own)],
        args=[
            f"--csi-address={own}/csi.sock", "--node-deployment", "--strict-topology",
            "--immediate-topology=false", "--node-deployment-immediate-binding=false",
        ],
    )  # fmt: skip
    spec = manifests.pod_spec(
        serving, provisioning, serviceAccountName=APP,
        volumes=[
            host_path("own", own, "DirectoryOrCreate"),
            host_path("registry", f"{KUBELET}/plugins_registry", "Directory"),
            host_path("pods", f"{KUBELET}/pods", "Directory"),
        ],
    )  # fmt: skip
    return manifests.daemon_set(APP, spec)


def registrations(csi_node: ApiObject, driver: str) -> list[dict[str, Any]]:
    """How a node's CSINode lists a driver; once at most."""
    return [each for each in csi_node["spec"].get("drivers") or [] if each["name"] == driver]


def is_installed(namespace: str, nodes: Collection[str]) -> Callable[[State], bool]:
    """The CSINodes of these nodes list the driver, and the driver's pod on every one of them is ready."""

    def holds(state: State) -> bool:
        driver, found = driver_name(namespace), state[CSI_NODES.path]
        ready = {
            node_of(each)
            for each in state[pods(namespace).path].values()
            if is_driver(each) and is_ready(each)
        }
        listed = {name for name, each in found.items() if registrations(each, driver)}
        return ready == listed == set(nodes)

    return holds


def is_uninstalled(namespace: str) -> Callable[[State], bool]:
    def holds(state: State) -> bool:
        listed = [registrations(each, driver_name(namespace)) for each in state[CSI_NODES.path].values()]
        return not any(listed) and not any(map(is_driver, state[pods(namespace).path].values()))

    return holds


def is_driver(pod: ApiObject) -> bool:
    return app(pod) == APP


def calls(scene: Scene, namespace: str) -> dict[str, list[dict[str, Any]]]:
    """What each node's driver was called for, in order."""
    selected = {"labelSelector": f"app={APP}"}
    found = scene.request("GET", pods(namespace).path, query=selected)["items"]
    return {node_of(each): scene.ask(namespace, metadata(each)["name"], "calls")["calls"] for each in found}
