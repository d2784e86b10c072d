"""CoreDNS as a pod, with what it needs to read Services."""

from __future__ import annotations

from kubewitness.assets import Assets
from kubewitness.clusters import network
from kubewitness.clusters.api import Api

_NAME = "coredns"
_COREFILE = """\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa {
        ttl 5
    }
    cache 5
    loadbalance
}
"""


def install(api: Api, assets: Assets) -> None:
    """Creates CoreDNS in kube-system. Does not wait for it."""
    labels = {"k8s-app": "kube-dns"}
    meta = {"name": _NAME, "namespace": "kube-system"}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    core = "/api/v1/namespaces/kube-system"
    image = next(name for name in assets.images if "coredns" in name)
    api.post(f"{core}/serviceaccounts", {"metadata": meta})
    api.post(
        f"{rbac}/clusterroles",
        {
            "metadata": {"name": f"system:{_NAME}"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
    )
    api.post(
        f"{rbac}/clusterrolebindings",
        {
            "metadata": {"name": f"system:{_NAME}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": f"system:{_NAME}",
            },
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
    )
    api.post(f"{core}/configmaps", {"metadata": meta, "data": {"Corefile": _COREFILE}})
    container = {
        "name": _NAME,
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
    }
    api.post(
        "/apis/apps/v1/namespaces/kube-system/deployments",
        {
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": _NAME,
                        # Only the first node holds its image.
                        "nodeSelector": {"kubernetes.io/hostname": "node1"},
                        "dnsPolicy": "Default",
                        "containers": [container],
                        "volumes": [{"name": "config", "configMap": {"name": _NAME}}],
                    },
                },
            },
        },
    )
    api.post(
        f"{core}/services",
        {
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {
                "clusterIP": network.SERVICE_DNS,
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
    )
