"""What is measured, and how: arrivals, the chain of each pod, distributions, objectives. It does no I/O."""
