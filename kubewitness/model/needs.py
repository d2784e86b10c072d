"""The needs that behaviours name, and what each kind of cluster offers."""

from __future__ import annotations

from kubewitness.model.cluster import ClusterSpec, Setup, Topology

READABLE_TRAFFIC = "readable-traffic"  # the API server's clients speak plaintext, or keys are at hand
ETCD_TRAFFIC = "etcd-traffic"  # the same of etcd
ENCRYPTED_TRAFFIC = "encrypted-traffic"
TLS_KEYS = "tls-keys"  # components log their TLS keys
INSECURE_PORT = "insecure-port"  # a plaintext port, or the relay in its place
REAL_NODES = "real-nodes"
TWO_NODES = "two-nodes"
CONTROLLERS = "controllers"  # a controller manager runs
NOT_READY_NODE = "not-ready-node"  # the minimal topology: no pod network, so the node stays NotReady
DISRUPTION = "disruption"  # components may be stopped
SHARED_DISK = "shared-disk"  # the controller manager and the nodes see the same /tmp

CSI_DRIVER = "csi-driver"  # the nodes have the images of a CSI driver and of its provisioner


def offered(spec: ClusterSpec) -> frozenset[str]:
    """What a cluster of the local provider offers."""
    has = {REAL_NODES, DISRUPTION}
    has |= (
        {READABLE_TRAFFIC, ETCD_TRAFFIC, INSECURE_PORT}
        if spec.setup is Setup.INSECURE
        else {ENCRYPTED_TRAFFIC}
    )
    has |= {CONTROLLERS, SHARED_DISK, CSI_DRIVER} if spec.topology is Topology.STANDARD else {NOT_READY_NODE}
    return frozenset(has | ({TWO_NODES} if spec.nodes > 1 else set()))
