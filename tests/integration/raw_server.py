"""A raw socket that plays a provider: nothing between it and the client mends anything.

It keeps a journal of the requests whose bytes it read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker.domain.messages.sms import Sms
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from worker.providers.africastalking import AfricasTalking
    from worker.providers.http_gateway import HttpGateway

TO = "+260977123456"
SUCCESS = (
    b'{"SMSMessageData":{"Message":"Sent to 1/1","Recipients":[{"statusCode":101,"number":"'
    + TO.encode()
    + b'","status":"Success","cost":"ZMW 0.3500","messageId":"ATXid_1"}]}}'
)


def http(body: bytes, status: str = "201 Created", *, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body


@dataclass
class Peer:
    """One connection, as a behaviour sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: Server

    async def take(self) -> None:
        """Read one whole request and note it down."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        sizes = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        body = await self.reader.readexactly(sizes[0]) if sizes else b""
        self.server.journal.append(head + body)
        self.server.took_one.set()

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = "Callable[[Peer], Awaitable[None]]"


@dataclass
class Server:
    port: int
    journal: list[bytes] = field(default_factory=list)
    took_one: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(
    behaviour: Callable[[Peer], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[Any]] = set()
    found = Server(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await behaviour(Peer(reader, writer, found))
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


IMPATIENT = {"connect_timeout_s": 1.0, "deadline_s": 1.0}
"""For tests in which time runs out; every other one keeps the settings' own deadlines."""


def settings(port: int, scheme: str = "http", **changes: object) -> ProviderSettings:
    values = {
        "id": "target",
        "kind": "africastalking",
        "base_url": f"{scheme}://127.0.0.1:{port}",
        "username": "sandbox",
        "secret": "atsk_do_not_show",
    }
    return ProviderSettings.model_validate(values | changes)


def kannel(port: int, **changes: object) -> ProviderSettings:
    return settings(port, kind="http", preset="kannel", **changes)


def sms(traceparent: str | None = None) -> Sms:
    return Sms("m-1", 1, TO, "Hello", None, 60.0, traceparent)


async def send(provider: AfricasTalking | HttpGateway) -> object:
    try:
        return await provider.send(sms())
    finally:
        await provider.close()
