"""A Starlette application served by uvicorn inside our own event loop, as a service.

Rules: signals belong to the composition root, never to a web server; the access log is off, for it
would print the webhook's token; the port is bound before `start` returns, so that one already taken
stops the process instead of leaving it deaf.
"""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.service import naming
from worker.web.request_line import HeadBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from worker.service import Background

MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CONNECTIONS: Final = 1024


class WebServer:
    """Serves one application on one port.

    Args:
        app: the application.
        background: runs the server; a server that dies stops the process through it.
        host: address to bind.
        port: port to bind; 0 takes a free one, see `port`.
        name: names the task.
        settings: the variables of host and port, named where the address cannot be bound.
        grace_s: longest wait for requests under way when drained.
    """

    def __init__(
        self,
        app: ASGIApp,
        background: Background,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "web",
        settings: str = "host, port",
        grace_s: float = 10.0,
    ) -> None:
        self._background = background
        self._address = (host, port)
        self._name = name
        self._settings = settings
        self._config = uvicorn.Config(
            app,
            http=_Discreet,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=math.ceil(grace_s),
        )
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port really bound; 0 before the start."""
        return self._port

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            StartError: the address cannot be bound, e.g. the port is taken.
        """
        if self._task is not None:
            return
        host, port = self._address
        with naming(self._settings, f"cannot serve on {host} port {port}", _why):
            listener = _bind(host, port)
        self._port = listener.getsockname()[1]
        self._server = _Server(self._config)
        self._task = self._background.spawn(self._server.serve([listener]), f"serve {self._name}")
        ready = asyncio.ensure_future(self._server.ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            listener.close()
            await self._task

    async def drain(self) -> None:
        """Close the port, finish the requests under way."""
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection, after the grace. Idempotent."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task})


class _Discreet(H11Protocol):
    """HTTP/1.1 that never writes an access log, and takes request lines with odd octets.

    uvicorn's own switch of the log is undone by whoever adds a handler to the logger afterwards.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.conn._receive_buffer = HeadBuffer()  # noqa: SLF001 - h11 has no other way in


class _Server(uvicorn.Server):
    """uvicorn without its hands on our signals, and with a start one can wait for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
