"""Acts on a connection instead of a proper answer.

Rules: each act closes the connection. The handler then returns `nothing()`, so that the server
finds the connection closed and writes no more bytes.
"""

from __future__ import annotations

import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import asyncio

    from worker.lab.simulator.wire import Reply

GARBAGE: Final = b'{"SMSMessageData":<html>502 Bad'
"""A body that is neither JSON nor an answer of Kannel."""


def respond(reply: Reply) -> web.Response:
    """A regular answer, with exactly the given content type."""
    headers = {"Content-Type": reply.content_type, **reply.headers}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def nothing() -> web.Response:
    """The return value for a connection that is closed."""
    return web.Response()


def close(transport: asyncio.Transport | None) -> None:
    """Close without a byte (FIN)."""
    if transport is not None:
        transport.close()


def reset(transport: asyncio.Transport | None) -> None:
    """Close with RST, so that the peer loses the bytes it has not read."""
    if transport is None:
        return
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def half(transport: asyncio.Transport | None, reply: Reply) -> None:
    """Announce the whole body, write half of it, close."""
    if transport is None:
        return
    phrase = HTTPStatus(reply.status).phrase
    head = (
        f"HTTP/1.1 {reply.status} {phrase}\r\n"
        f"Content-Type: {reply.content_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n\r\n"
    )
    transport.write(head.encode() + reply.body[: len(reply.body) // 2])
    transport.close()
