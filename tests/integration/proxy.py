"""A TCP proxy that loses what it is told to: the faults of a network, between real parts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Self
from urllib.parse import urlsplit

PUBLISH: Final = b"\x00\x3c\x00\x28"
"""Class and method of `basic.publish` (AMQP 0-9-1)."""


class Proxy:
    """Forwards 127.0.0.1:`port` to a server.

    Args:
        url: of the server; host and port of its first address count.
        port: to listen on; 0: a free one.
    """

    def __init__(self, url: str, port: int = 0) -> None:
        at = urlsplit(url)
        self.port = port
        self._target = (at.hostname or "127.0.0.1", at.port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose_replies_to: bytes | None = None
        """Requests that hold these bytes reach the server; their reply and connection are lost."""
        self.losses_left = 0
        self.lost = 0
        self.connections = 0
        """How many clients have connected so far."""
        self.stalled = False
        """Take bytes of clients and pass none on."""
        self.kept = bytearray()
        """What was taken and not passed on."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Listen no more, and close every connection."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Close every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        with suppress(ConnectionError, asyncio.CancelledError):
            up, down = await asyncio.open_connection(*self._target)
            self._open |= {writer, down}
            losing = asyncio.Event()
            await asyncio.gather(
                self._requests(reader, down, losing), self._replies(up, writer, losing)
            )

    async def _requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            wanted = self.lose_replies_to
            if wanted is not None and wanted in data and self.losses_left > 0:
                self.losses_left -= 1
                losing.set()
            if self.stalled:
                self.kept += data
            else:
                server.write(data)
                await server.drain()
        server.transport.abort()

    async def _replies(
        self, up: asyncio.StreamReader, client: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await up.read(1 << 16):
            if losing.is_set():
                self.lost += 1
                break
            client.write(data)
            await client.drain()
        client.transport.abort()


class BrokerProxy(Proxy):
    """A proxy before a broker, which knows a publish when it sees one."""

    def lose_confirms(self, count: int) -> None:
        """Let so many publishes reach the broker, but not their confirms."""
        self.lose_replies_to, self.losses_left = PUBLISH, count

    @property
    def has_kept_a_publish(self) -> bool:
        """Whether a publish was taken and not passed on."""
        return PUBLISH in self.kept
