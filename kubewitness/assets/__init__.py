"""Finding, downloading, building and caching the binaries and images that a cluster is made of."""

from kubewitness.assets.asset import Asset, AssetError, Assets, Origin, UnknownVersion
from kubewitness.assets.recipes import ALL, DELAYED_SCHEDULER, EXTRA, KEY_LOGGING_API_SERVER, KIND, SIMULATED
from kubewitness.assets.resolving import resolve

__all__ = [
    "ALL",
    "DELAYED_SCHEDULER",
    "EXTRA",
    "KEY_LOGGING_API_SERVER",
    "KIND",
    "SIMULATED",
    "Asset",
    "AssetError",
    "Assets",
    "Origin",
    "UnknownVersion",
    "resolve",
]
