"""What sets Kubernetes' minor versions apart for whoever starts or asks one: each difference once, by name.

A minor is a pair such as (1, 37). What a behaviour holds in is its own `since` and `until`.
"""

from __future__ import annotations

Minor = tuple[int, int]


def serves_plaintext(minor: Minor) -> bool:
    """The API server has an insecure port, open unless it is told otherwise."""
    return minor <= (1, 19)


def control_loops_serve_plaintext(minor: Minor) -> bool:
    """So have the scheduler and the controller manager, for health and metrics."""
    return minor <= (1, 22)


def has_endpoint_slices(minor: Minor) -> bool:
    """EndpointSlices are served as discovery.k8s.io/v1; v1beta1 before."""
    return minor >= (1, 21)


def takes_tokens_from_secrets(minor: Minor) -> bool:
    """A pod has its service account's token from a Secret, and is refused before there is one."""
    return minor <= (1, 20)


def drains_empty_dirs(minor: Minor) -> bool:
    """Pods with an emptyDir are drained by --delete-emptydir-data; by --delete-local-data before."""
    return minor >= (1, 20)


def speaks_runtime_v1(minor: Minor) -> bool:
    """The kubelet speaks v1 of the container runtime's interface; v1alpha2 before."""
    return minor >= (1, 23)


def configures_runtime_by_file(minor: Minor) -> bool:
    """The kubelet's file names its runtime; a flag did before."""
    return minor >= (1, 27)


def clones_repositories(minor: Minor) -> bool:
    """The kubelet fills volumes of type gitRepo, by its node's git."""
    return minor <= (1, 32)


def maps_ceph_devices(minor: Minor) -> bool:
    """The kubelet mounts volumes of type rbd."""
    return minor <= (1, 30)


def proxies_by_nftables(minor: Minor) -> bool:
    """kube-proxy has the mode nftables; it takes iptables before."""
    return minor >= (1, 29)


def gates_nftables(minor: Minor) -> bool:
    """That mode is alpha, behind a feature gate."""
    return proxies_by_nftables(minor) and minor <= (1, 30)


def may_refuse_old_control_groups(minor: Minor) -> bool:
    """The kubelet can be told whether to run with version 1 of control groups; since 1.35 it refuses them."""
    return minor >= (1, 31)


def configures_patches_by_file(minor: Minor) -> bool:
    """Kubeadm's file names the directory with patches of static pods; a flag did before."""
    return minor >= (1, 22)


def configures_token_issuer(minor: Minor) -> bool:
    """Kubeadm tells the API server how to issue tokens; without, it issues none but those in Secrets."""
    return minor >= (1, 20)


def shows_endpoint_slices_to_dns(minor: Minor) -> bool:
    """Kubeadm lets the DNS server read EndpointSlices; Endpoints only before."""
    return minor >= (1, 22)
