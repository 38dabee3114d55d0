"""Counts the events that no queue was bound to take.

Rules: the broker puts such events into `sms.unrouted.events`, which nothing consumes. Its policy
(`sms-events-unrouted`) lets a message expire after an hour and keeps the newest 10,000. So the
length of the queue is the number of unrouted events of the last hour; at 10,000 it means "at
least". Every replica sees the same figure, it survives all replicas, and it counts nothing twice.
Without the policies there is no such count.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from contracts.names import Queue
from worker.broker.connection import LOST, naming_losses
from worker.broker.dead import ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from aio_pika.abc import AbstractChannel

    from worker.broker.connection import BrokerConnection
    from worker.service import Background

EVERY_S: Final = 15.0
STOP_WITHIN_S: Final = 2.0
_log = structlog.get_logger(__name__)


class UnroutedWatch:
    """A service that looks at the count.

    Args:
        connection: where to ask; the channel is opened for each look.
        background: runs the loop.
        counted: called with each count.
        every_s: seconds between looks.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        background: Background,
        counted: Callable[[int], None],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._connection = connection
        self._background = background
        self._counted = counted
        self._every_s = every_s
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to count."""
        self._task = self._background.spawn(self._look_on(), "unrouted events")

    async def drain(self) -> None:
        """Nothing is in flight."""

    async def stop(self) -> None:
        """Stop after the current look: the client library may swallow a cancellation."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_WITHIN_S)
            self._task.cancel()
            self._task = None

    async def _look_on(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._connection.is_up:
                    with naming_losses():
                        await self._look()
            except (*LOST, asyncio.CancelledError) as error:
                # The library cancels what waits on a dead channel; `stop` cancels only at its end.
                if self._stopping.is_set():
                    raise
                _log.info("unrouted events not counted", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._stopping.wait()

    async def _look(self) -> None:
        channel = await self._connection.channel()
        try:
            self._counted(await ready(channel, Queue.UNROUTED_EVENTS))
        finally:
            await channel.close()


async def sample(channel: AbstractChannel, most: int) -> list[str]:
    """Return the names of the oldest unrouted events; they go back when the channel closes."""
    queue = await channel.get_queue(Queue.UNROUTED_EVENTS, ensure=False)
    names: list[str] = []
    while len(names) < most:
        message = await queue.get(fail=False)
        if message is None:
            break
        names.append(message.routing_key or "")
    return names
