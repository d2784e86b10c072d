"""Frozen types that pass between the layers. Imports nothing but the standard library."""
