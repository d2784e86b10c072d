"""Versions of an application, told apart by what their containers have in their environment."""

from __future__ import annotations

from typing import Any

from kubewitness.model.observation import ApiObject
from suites import manifests


def versioned(value: str, **container: Any) -> manifests.Manifest:
    """A pod's spec whose container has VERSION=value in its environment."""
    return manifests.pod_spec(
        manifests.container(env=[{"name": "VERSION", "value": value}], **container),
        terminationGracePeriodSeconds=1,
    )


def server(value: str, linger_s: int) -> manifests.Manifest:
    """The same of a server that stops gracefully: it goes on to serve for ``linger_s`` when it has to end."""
    environment = {"VERSION": value, "WITNESS_LINGER": f"{linger_s}s"}
    return manifests.pod_spec(
        manifests.witness(
            env=[{"name": name, "value": text} for name, text in environment.items()],
            # A slow machine does not make it unready; that it is to end does so at once, without the probe.
            **manifests.ready_probe(failureThreshold=3, timeoutSeconds=5),
        ),
        # It ends when it has served for that long, and not when the kubelet loses its patience.
        terminationGracePeriodSeconds=linger_s + 10,
    )


def version(obj: ApiObject) -> str:
    """The version of a pod, or of a workload's template."""
    return manifests.environment(obj).get("VERSION", "")


def to_version(value: str) -> manifests.Manifest:
    return manifests.with_environment("VERSION", value)
