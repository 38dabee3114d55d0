"""What can be done to a connection instead of answering properly.

Rules: each act leaves the connection closed. A handler returns `nothing()` after one: the server
finds the connection gone and writes no byte more.
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
"""Neither JSON nor anything Kannel says."""


def respond(reply: Reply) -> web.Response:
    """A regular answer. The content type is exactly the one given."""
    headers = {"Content-Type": reply.content_type, **reply.headers}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def nothing() -> web.Response:
    """Stands for the answer on a connection that is closed."""
    return web.Response()


def close(transport: asyncio.Transport | None) -> None:
    """Close without a byte (FIN)."""
    if transport is not None:
        transport.close()


def reset(transport: asyncio.Transport | None) -> None:
    """Close with RST: what the peer has not read yet is lost to it."""
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
