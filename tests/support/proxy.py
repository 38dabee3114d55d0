"""A TCP proxy whose faults are switched while it runs: those of a network, between real parts.

Rules:
- Each direction has its own fault: `requests` flow to the server, `replies` to the client. A fault
  holds for connections that are open and for new ones, until `heal`.
- `only` narrows the faults to clients that named themselves so in their first bytes.
- Dropped bytes are never sent later. A connection that lost some is of no use any more: `heal`
  resets it, as a firewall does that has forgotten the connection.
- Delayed and stalled bytes arrive whole and in order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

_CHUNK: Final = 1 << 16
_GREETING: Final = 4096
"""Bytes of a client in which it may name itself."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """Pass everything on."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Pass nothing on, and read nothing more; go on where it stopped when it is over."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Read everything and pass nothing on: a black hole."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Pass everything on later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CutAfter:
    """Pass so many more bytes on in each connection, then reset it."""

    size: int


Fault = Healthy | Stall | Drop | Delay | CutAfter


class Direction:
    """One direction of a proxy, and the fault it has."""

    def __init__(self) -> None:
        self.fault: Fault = Healthy()
        self.dropped = bytearray()
        """What was taken and not passed on."""
        self._changed = asyncio.Event()

    def put(self, fault: Fault) -> None:
        """Have this fault from now on."""
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for another fault."""
        await self._changed.wait()


@dataclass(eq=False)
class _Connection:
    """A client's connection and the one to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    greeting: bytearray = field(default_factory=bytearray)
    has_lost: bool = False
    loses_replies: bool = False

    def reset(self) -> None:
        """Close both with RST, so that what is not yet read is lost."""
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class _Flow:
    """Carries the bytes of one direction of one connection."""

    def __init__(
        self, proxy: Proxy, direction: Direction, connection: _Connection, to: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._direction = direction
        self._connection = connection
        self._to = to
        self._cut: CutAfter | None = None
        self._left = 0
        self._due = 0.0

    async def carry(self, data: bytes) -> None:
        """Pass these bytes on, or do with them what the present fault says."""
        while isinstance(self._fault(), Stall):
            await self._direction.changed()
        match self._fault():
            case Drop():
                self._direction.dropped += data
                self._connection.has_lost = True
            case CutAfter() as cut:
                await self._write_until(cut, data)
            case Delay(seconds):
                self._write_later(data, seconds)
            case _:
                self._write_later(data, 0.0)
                await self._to.drain()

    async def end(self) -> None:
        """The sender has closed: close towards the receiver, after what is under way."""
        await asyncio.sleep(self._due - asyncio.get_running_loop().time())
        self._to.close()

    def _fault(self) -> Fault:
        concerned = self._proxy.only in self._connection.greeting
        return self._direction.fault if concerned else Healthy()

    def _write_later(self, data: bytes, seconds: float) -> None:
        """Write after a delay, and never before what came before."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if not seconds and due > self._due:
            self._to.write(data)
            return
        self._due = max(due, self._due + 1e-6)  # the loop keeps no order among equal times
        loop.call_at(self._due, self._to.write, data)

    async def _write_until(self, cut: CutAfter, data: bytes) -> None:
        if cut is not self._cut:
            self._cut, self._left = cut, cut.size
        passed, self._left = data[: self._left], max(0, self._left - len(data))
        self._to.write(passed)
        await self._to.drain()
        if not self._left:
            self._connection.reset()


class Proxy:
    """Forwards 127.0.0.1:`port` to a server.

    Args:
        url: of the server; host and port of its first address count.
        port: to listen on; 0: a free one.
        tls: what it shows to clients, which then speak TLS to it; None: they do not.
    """

    def __init__(self, url: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        at = urlsplit(url)
        self.port = port
        self._tls = tls
        self._target = (at.hostname or "127.0.0.1", at.port)
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests = Direction()
        self.replies = Direction()
        self.only = b""
        """Clients that the faults concern: their first bytes hold this. Empty: every one."""
        self.refuses = False
        """Whether new connections are reset at once."""
        self.lose_replies_to: bytes | None = None
        """Requests that hold these bytes reach the server; their reply and connection are lost."""
        self.losses_left = 0
        self.lost = 0
        self.connections = 0
        """How many clients have connected so far."""

    async def __aenter__(self) -> Self:
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self._server = await serving
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Listen no more, and close every connection."""
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def stalled(self) -> bool:
        """Whether bytes of clients are taken and none passed on. What is taken is lost."""
        return isinstance(self.requests.fault, Drop)

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        self.requests.put(Drop() if stalled else Healthy())

    def cut(self) -> None:
        """Close every connection."""
        for each in self._open:
            each.client.transport.abort()
            each.server.transport.abort()

    def reset(self) -> None:
        """Reset every connection that the faults concern."""
        for each in self._open:
            if self.only in each.greeting:
                each.reset()

    def heal(self) -> None:
        """No faults any more; connections that lost bytes are reset."""
        self.refuses, self.lose_replies_to = False, None
        for each in self._open:
            if each.has_lost:
                each.reset()
        for direction in (self.requests, self.replies):
            direction.put(Healthy())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        connection: _Connection | None = None
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                up, down = await asyncio.open_connection(*self._target)
                connection = _Connection(writer, down)
                await self._connect(connection, reader, up)
        finally:
            writer.close()
            if connection is not None:
                connection.server.close()
                self._open.discard(connection)

    async def _connect(
        self, connection: _Connection, client: asyncio.StreamReader, server: asyncio.StreamReader
    ) -> None:
        if self.refuses:
            connection.reset()
            return
        self._open.add(connection)
        requests = _Flow(self, self.requests, connection, connection.server)
        replies = _Flow(self, self.replies, connection, connection.client)
        await asyncio.gather(
            self._requests(client, connection, requests), self._replies(server, connection, replies)
        )

    async def _requests(
        self, client: asyncio.StreamReader, connection: _Connection, flow: _Flow
    ) -> None:
        while data := await client.read(_CHUNK):
            if len(connection.greeting) < _GREETING:
                connection.greeting += data
            wanted = self.lose_replies_to
            if wanted is not None and wanted in data and self.losses_left > 0:
                self.losses_left -= 1
                connection.loses_replies = True
            await flow.carry(data)
        await flow.end()

    async def _replies(
        self, server: asyncio.StreamReader, connection: _Connection, flow: _Flow
    ) -> None:
        while data := await server.read(_CHUNK):
            if connection.loses_replies:
                self.lost += 1
                connection.client.transport.abort()
                return
            await flow.carry(data)
        await flow.end()
