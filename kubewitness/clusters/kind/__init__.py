"""Clusters whose nodes are containers that kind makes."""
