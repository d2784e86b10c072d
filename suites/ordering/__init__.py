"""The order in which the parts of a cluster speak when a pod is created, seen on the wire."""
