"""A service that runs a Starlette application with uvicorn in our own event loop.

Rules: the composition root handles signals, never a web server. The access log is off, because it
would show the webhook's token. The port is bound before `start` returns, so that the process stops
if the port is taken.
"""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.service import naming
from worker.web.request_line import HeadBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from worker.service import Background

MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CONNECTIONS: Final = 1024
HEAD_WITHIN_S: Final = 10.0
"""Longest wait for the head of a request, so that silent connections do not use up all of them."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    file: Path
    """With the chain."""
    key: Path
    settings: str
    """The variables of both files, for the error if they cannot be used."""


class WebServer:
    """Serves one application on one port.

    Args:
        app: the application.
        background: runs the server, and stops the process if the server dies.
        host: address to bind.
        port: port to bind; 0: a free one, see `port`.
        name: name of the task.
        settings: the variables of host and port, for the error if the address cannot be bound.
        grace_s: longest wait in a drain for requests under way.
        certificate: where the server itself ends TLS.
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
        certificate: Certificate | None = None,
    ) -> None:
        self._background = background
        self._address = (host, port)
        self._name = name
        self._settings = settings
        self._certificate = certificate
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
            ssl_certfile=certificate.file if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
        )
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._port = 0
        background.owes(f"requests to {name}", self._cut_off)

    @property
    def port(self) -> int:
        """The bound port; 0 before the start."""
        return self._port

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            StartError: the address cannot be bound, e.g. the port is taken, or the certificate
                cannot be used.
        """
        if self._task is not None:
            return
        if self._certificate is not None:
            with naming(self._certificate.settings, "cannot serve with TLS", _why):
                self._config.load()
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

    def _cut_off(self) -> int:
        return self._server.cut_off if self._server is not None else 0

    async def drain(self) -> None:
        """Close the port and finish the requests under way."""
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection, after the grace. Idempotent."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task})


class _Discreet(H11Protocol):
    """HTTP/1.1 without an access log, with corrected request lines and a deadline for each head.

    uvicorn's own switch for the log is not enough, because a handler added later would undo it. It
    waits for ever for a head, if one byte of it came.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.conn._receive_buffer = HeadBuffer()  # noqa: SLF001 - h11 has no public access
        self._no_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._no_head is not None:
            self._no_head.cancel()

    def _watch_head(self) -> None:
        """Start the deadline when a head is waited for, and end it when the head is there."""
        if self.conn.their_state is not h11.IDLE:
            if self._no_head is not None:
                self._no_head.cancel()
            self._no_head = None
        elif self._no_head is None:
            self._no_head = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, and with a start that can be awaited."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.cut_off = 0
        """How many requests the end cut off."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self.cut_off = len(self.server_state.tasks)  # cancelled, and not yet ended

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
