"""Rollouts: replacing the pods of an application, one version by the next."""
