"""The one error of this layer."""

from __future__ import annotations


class DecodeError(Exception):
    """Bytes that are not what their place says they are; the message says what was found."""
