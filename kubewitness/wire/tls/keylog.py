"""Secrets that an end of TLS connections wrote down, in the format of SSLKEYLOGFILE (RFC 9850)."""

from __future__ import annotations

from collections.abc import Mapping

from kubewitness.wire.errors import DecodeError

_RANDOM_BYTES = 32


class KeyLog:
    """Grows as it is read. Secrets are found by the random of the ClientHello that they belong to."""

    def __init__(self) -> None:
        self._secrets: dict[bytes, dict[str, bytes]] = {}
        #: Master secrets by session id or ticket, for TLS 1.2 connections that resume what was seen.
        self.sessions: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """How many connections it has secrets of."""
        return len(self._secrets)

    def learn(self, lines: str) -> None:
        """Take in whole lines: a label, the ClientHello's random and the secret, both in hexadecimal."""
        for line in lines.splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                label, random, secret = words[0], *map(bytes.fromhex, words[1:])
            except ValueError as error:
                raise DecodeError(
                    f"wanted a line of a key log (LABEL RANDOM SECRET), found {line[:60]!r}"
                ) from error
            if label != "RSA" and len(random) == _RANDOM_BYTES:
                self._secrets.setdefault(random, {})[label] = secret

    def of(self, client_random: bytes) -> Mapping[str, bytes]:
        """The secrets of a connection by label, none if it is unknown."""
        return self._secrets.get(client_random, {})
