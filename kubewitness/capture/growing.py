"""A file of lines that somebody else goes on writing."""

from __future__ import annotations

from pathlib import Path


class Growing:
    """Gives each whole line once. ``read`` is how many bytes it has given; the file may not be there yet."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.read = 0

    def lines(self) -> bytes:
        """What was added since the last time, up to the end of a line."""
        try:
            if self.file.stat().st_size == self.read:
                return b""
        except FileNotFoundError:
            return b""
        with self.file.open("rb") as file:
            file.seek(self.read)
            whole, end, _ = file.read().rpartition(b"\n")
        self.read += len(whole + end)
        return whole + end
