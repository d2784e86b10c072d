"""Options and fixtures of Kubewitness."""

pytest_plugins = ["kubewitness.reporting.plugin", "fixtures.cluster", "fixtures.drives", "fixtures.benchmark"]
