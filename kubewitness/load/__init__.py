"""Requests at intended times, from a process of its own, with a stamp for each that was sent and answered."""
