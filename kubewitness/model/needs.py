"""The needs that behaviours name, and what each kind of cluster offers."""

from __future__ import annotations

from kubewitness.model.behaviour import parse_minor
from kubewitness.model.cluster import ClusterSpec, Provider, Setup, Topology
from kubewitness.model.versions import maps_ceph_devices

CAPTURED_TRAFFIC = "captured-traffic"  # what the parts say to each other is captured, readable or not
READABLE_TRAFFIC = "readable-traffic"  # the API server's clients speak plaintext, or keys are at hand
ETCD_TRAFFIC = "etcd-traffic"  # the same of etcd
ENCRYPTED_TRAFFIC = "encrypted-traffic"
TLS_KEYS = "tls-keys"  # the API server logs the keys of its TLS connections
INSECURE_PORT = "insecure-port"  # a plaintext port, or the relay in its place
REAL_NODES = "real-nodes"
TWO_NODES = "two-nodes"
CONTROLLERS = "controllers"  # a controller manager runs
SERVICE_PROXY = "service-proxy"  # a service proxy runs on each node
NOT_READY_NODE = "not-ready-node"  # the minimal topology: no pod network, so the node stays NotReady
SIMULATED_NODES = "simulated-nodes"  # the simulated topology: nodes without a kubelet, by the thousand
DISRUPTION = "disruption"  # components may be stopped, and nodes changed
SHARED_DISK = "shared-disk"  # the controller manager and the nodes see the same /tmp
CSI_DRIVER = "csi-driver"  # the nodes have the images of a CSI driver and of its provisioner
KERNEL_NFS = "kernel:nfs"  # some node mounts NFS: its kernel can, and it has the tools
KERNEL_ISCSI = "kernel:iscsi"  # the same of iSCSI disks,
KERNEL_RBD = "kernel:rbd"  # of Ceph's block devices,
KERNEL_FUSE = "kernel:fuse"  # and of GlusterFS, whose client is a FUSE file system

#: What a node may be able to mount over the network, each with the need that it meets.
MOUNTS = {"nfs": KERNEL_NFS, "iscsi": KERNEL_ISCSI, "rbd": KERNEL_RBD, "glusterfs": KERNEL_FUSE}
EMULATED_TAINT = "kubewitness.example/emulated"  # keeps pods away that do not ask for an emulated node


def mounts_label(kind: str) -> str:
    """The label, of value "true", of the nodes that can mount one of MOUNTS."""
    return f"kubewitness.example/mounts-{kind}"


def emulated_mounts(version: str) -> tuple[str, ...]:
    """What an emulated node mounts. Of Ceph's devices only as long as kubelets do: the tool is large."""
    return ("nfs", "iscsi", "rbd") if maps_ceph_devices(parse_minor(version)) else ("nfs", "iscsi")


def needed(named: frozenset[str]) -> frozenset[str]:
    """What a behaviour that names these needs takes: real nodes, unless it is for simulated ones."""
    return named if SIMULATED_NODES in named else named | {REAL_NODES}


def offered(spec: ClusterSpec) -> frozenset[str]:
    """What a cluster offers."""
    if spec.provider is Provider.EXISTING:
        has = {REAL_NODES, CONTROLLERS, SERVICE_PROXY} | ({DISRUPTION} if spec.disruption else set())
        return frozenset(has | ({TWO_NODES} if spec.nodes > 1 else set()))
    has = {DISRUPTION, CAPTURED_TRAFFIC}
    has |= (
        {READABLE_TRAFFIC, ETCD_TRAFFIC, INSECURE_PORT}
        if spec.setup is Setup.INSECURE
        else {ENCRYPTED_TRAFFIC}
    )
    if spec.key_log:
        has |= {READABLE_TRAFFIC, ETCD_TRAFFIC, TLS_KEYS}
    mounts = {*spec.mounts, *(emulated_mounts(spec.version) if spec.emulated else ())}
    has |= {MOUNTS[kind] for kind in mounts}
    match spec.topology:
        case Topology.STANDARD:
            has |= {REAL_NODES, CONTROLLERS, SERVICE_PROXY, CSI_DRIVER}
            has |= {SHARED_DISK} if spec.provider is Provider.LOCAL else set()
        case Topology.MINIMAL:
            has |= {REAL_NODES, NOT_READY_NODE}
        case Topology.SIMULATED:
            has.add(SIMULATED_NODES)
    return frozenset(has | ({TWO_NODES} if spec.nodes > 1 else set()))
