"""DaemonSets: where their pods are, and how an update passes over them."""
