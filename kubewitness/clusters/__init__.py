"""Bringing clusters up and taking them down without leaving anything behind."""
