"""What can go wrong with a cluster, each with one message for the person who asked for it."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster did not come up or went away: wanted, found, what to do. Exit code 3."""


class HostLacks(ClusterError):
    """This host cannot hold a local cluster."""


class Refused(ClusterError):
    """What a cluster's provider does not do, by its promise or for want of a hand on the cluster."""


class UsageError(Exception):
    """What was asked for makes no sense. Exit code 2."""
