"""Finding, downloading, building and caching the binaries and images that a cluster is made of."""

from kubewitness.assets.asset import Asset, AssetError, Assets, Origin, UnknownVersion
from kubewitness.assets.recipes import ALL, EXTRA, KEY_LOGGING_API_SERVER, KIND
from kubewitness.assets.resolving import resolve

__all__ = [
    "ALL",
    "EXTRA",
    "KEY_LOGGING_API_SERVER",
    "KIND",
    "Asset",
    "AssetError",
    "Assets",
    "Origin",
    "UnknownVersion",
    "resolve",
]
