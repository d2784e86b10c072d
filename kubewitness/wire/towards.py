"""The two directions of a connection."""

from __future__ import annotations

import enum


class Towards(enum.Enum):
    """Whom bytes are sent to."""

    SERVER = "server"
    CLIENT = "client"
