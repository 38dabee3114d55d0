"""One AMQP connection that comes back by itself.

Rules: we reconnect ourselves (the library's robust connection restores state that is better built
anew); consuming and publishing use separate links, because a broker in memory alarm stops reading
from whoever publishes, acknowledgements included. A connection is used until it fails; everybody
who waits for the next one is woken by it. Jittered backoff, so that replicas do not return at once.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import aio_pika
import structlog
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError

from worker.broker import leniency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aio_pika.abc import AbstractChannel, AbstractConnection

    from worker.service import Background

HEARTBEAT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 3.0
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
LOST: Final = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)
"""What a dead connection or channel raises, as seen by whoever used it."""
BROKEN: Final = (*LOST, asyncio.CancelledError)
"""The same for our own long-lived tasks: the library cancels the futures of a dead channel, which
looks like a cancellation of whoever waits for them."""
_log = structlog.get_logger(__name__)


async def connect(
    url: str,
    name: str = "sms-worker",
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    heartbeat_s: int = HEARTBEAT_S,
) -> AbstractConnection:
    """Open one connection, which stays closed once it is lost.

    Args:
        url: `amqp://` or `amqps://`, with credentials.
        name: shown in the broker's management views.
        timeout_s: for connecting, seconds.
        heartbeat_s: a dead peer is noticed after twice that.

    Raises:
        Exception: it cannot be made (see `LOST`); nothing of it is left open.
    """
    connection = aio_pika.Connection(
        make_url(url, heartbeat=heartbeat_s), client_properties={"connection_name": name}
    )
    try:
        await connection.connect(timeout=timeout_s)
    except BaseException:
        await connection.close()  # else it closes itself when it is collected, at any time
        raise
    return connection


class Link:
    """Keeps one connection open.

    Args:
        url: `amqp://` or `amqps://`, with credentials.
        name: shown in the broker's management views.
        background: runs the keeper; its death ends the process.
        heartbeat_s: a dead peer is noticed after twice that.
    """

    def __init__(
        self, url: str, name: str, background: Background, *, heartbeat_s: int = HEARTBEAT_S
    ) -> None:
        self._heartbeat_s = heartbeat_s
        self._background = background
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._closed = asyncio.Event()
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether a connection is open right now."""
        return self._up.is_set()

    async def start(self) -> None:
        """Connect; raises when the first connection cannot be made."""
        leniency.install()
        await self._connect()
        self._keeper = self._background.spawn(self._keep(), self._name)

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Close the connection. Idempotent."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._part()
        self._up.clear()

    async def channel(self, *, returns_raise: bool = True) -> AbstractChannel:
        """Open a channel with publisher confirms, waiting for a connection if there is none."""
        while True:
            await self._up.wait()
            connection = self._connection
            try:
                if connection is not None:
                    with naming_losses():
                        async with asyncio.timeout(CONNECT_TIMEOUT_S):
                            return await connection.channel(on_return_raises=returns_raise)
            except BROKEN as error:
                reraise_own_cancel()
                _log.warning("channel not opened", link=self._name, error=type(error).__name__)
            await asyncio.sleep(_BACKOFF_S[0])

    async def _connect(self) -> None:
        connection = await connect(self._url, self._name, heartbeat_s=self._heartbeat_s)
        self._closed.clear()
        connection.close_callbacks.add(lambda *_: self._lost(connection))
        self._connection = connection
        self._up.set()

    def _lost(self, connection: AbstractConnection) -> None:
        if connection is self._connection:  # not one that was replaced already
            self._up.clear()
            self._closed.set()

    async def _keep(self) -> None:
        while True:
            await self._closed.wait()
            _log.warning("connection lost", link=self._name)
            await self._part()
            await self._reconnect()
            _log.info("connection restored", link=self._name)

    async def _part(self) -> None:
        """Close the connection, dead or alive: one left open closes itself when collected."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.close()
        except BROKEN as error:
            reraise_own_cancel()
            _log.info("connection not closed", link=self._name, error=type(error).__name__)

    async def _reconnect(self) -> None:
        tries = 0
        while True:
            pause = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            tries += 1
            try:
                await self._connect()
            except BROKEN as error:
                reraise_own_cancel()
                _log.warning("not connected", link=self._name, error=type(error).__name__)
            else:
                return


@contextmanager
def naming_losses() -> Iterator[None]:
    """Around calls of the library: has what it raises bare belong to `LOST`.

    aiormq raises `Exception` itself, of no class of its own, in whoever waits on a channel that was
    closed without a reason.
    """
    try:
        yield
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("the channel is gone") from error
        raise


def reraise_own_cancel() -> None:
    """Within `except BROKEN`: end the task after all where it was really cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
