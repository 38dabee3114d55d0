"""A listening socket that can vanish and come back on the same port.

Rules: `open` and `close` take effect in the kernel before they return. While closed, a bound
socket that never listens reserves the port, so that connections are refused and no other process
gets it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG: Final = 1024


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class Gate:
    """Accepts connections on one port while open.

    Args:
        factory: makes the protocol of each connection.
        host: address to bind.
        port: port to bind; 0: a free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int = 0
    ) -> None:
        self._factory = factory
        self._host = host
        self._held = _bound(host, port)
        self._listening: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._attaching: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """`http://host:port`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._held.getsockname()[1]}"

    def open(self) -> None:
        """Listen. Does nothing when open."""
        if self._listening is not None:
            return
        self._listening = _bound(self._host, self._held.getsockname()[1])
        try:
            self._listening.listen(_BACKLOG)
        except OSError:
            self.close()
            raise
        self._attaching = asyncio.get_running_loop().create_task(self._attach(self._listening))

    async def _attach(self, sock: socket.socket) -> None:
        if self._listening is not sock:
            return  # closed before the loop handled it
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self._factory, sock=sock, backlog=_BACKLOG, start_serving=False
        )
        if self._listening is not sock:
            server.close()
            return
        self._server = server
        await server.start_serving()

    def close(self) -> None:
        """Stop listening; connections that exist stay. Idempotent."""
        if self._server is not None:
            self._server.close()
        if self._listening is not None:
            self._listening.close()
        self._listening = self._server = None

    def release(self) -> None:
        """Close, and release the port. Idempotent."""
        self.close()
        self._held.close()
