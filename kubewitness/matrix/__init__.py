"""Many clusters: Kubernetes versions, providers and setups, each judged by a run of its own."""
