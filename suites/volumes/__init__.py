"""Volumes: what pods find in them, who gets which, and what becomes of them."""
