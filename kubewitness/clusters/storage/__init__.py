"""Servers of files and disks beside a local cluster, for the volumes that its pods mount over the network.

They are real ones, in user space since a host's kernel may have none, and run in the control plane's
namespaces: they end with the cluster, and keep all their files in the run's directory. Each starts when it is
first asked for; only then are the packages missed that have it.
"""

from kubewitness.clusters.storage.server import Offer, Server, Source
from kubewitness.clusters.storage.servers import Storage

__all__ = ["Offer", "Server", "Source", "Storage"]
