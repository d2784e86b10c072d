"""Kubewitness: proves from observed traffic that a Kubernetes cluster behaves as promised."""

__version__ = "0.1.0"
