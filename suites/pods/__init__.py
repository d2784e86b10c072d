"""Pods: what their containers share, how they begin, go on and end, and what becomes of them."""
