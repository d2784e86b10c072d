"""Passes the connections to an address of the host on to the cluster's API server.

A program with nothing but the standard library: ``forward.py PORT TARGET_IP TARGET_PORT``. It listens on the
loopback only, says READY=1 on its NOTIFY_SOCKET (sd_notify(3)), and ends with the cluster.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

LOOPBACK = "127.0.0.1"


async def serve(port: int, target: tuple[str, int]) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside = await asyncio.open_connection(*target)
        except OSError as error:  # the API server is down: the client learns it by the end of its connection
            print(f"{target}: {error}", file=sys.stderr, flush=True)
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, inside[1]), _pass_on(inside[0], writer))

    server = await asyncio.start_server(connected, LOOPBACK, port)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError as error:  # one side was reset, and the other is closed for it
        print(f"a connection ended: {error}", file=sys.stderr, flush=True)
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), (sys.argv[2], int(sys.argv[3]))))
