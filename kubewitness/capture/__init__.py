"""Packets of a cluster: taken from the kernel, kept as pcapng, and read again."""
