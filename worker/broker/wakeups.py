"""Listens to the broadcast that wakes every replica.

Rules: a wake-up carries no state. The queue is exclusive and has a new name after each connect,
because the broker may still hold the old name for a dead connection and refuse it as locked. The
queue is bound before the wake that follows each connect, so that no wake-up is missed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from worker.broker.connection import BROKEN, naming_losses, reraise_own_cancel
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from aio_pika.abc import AbstractIncomingMessage

    from worker.broker.connection import BrokerConnection
    from worker.service import Background

RETRY_S: Final = 0.5
_log = structlog.get_logger(__name__)


class Wakeups(Loop):
    """Calls `wake` for each message on a topic, and after each connect.

    Args:
        connection: a connection; the queue dies with it.
        background: runs the listener; its death ends the process.
        exchange: where wake-ups are published.
        key: their routing key.
        wake: the call; it must be synchronous and cheap.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        background: Background,
        exchange: str,
        key: str,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(background, "wake-ups")
        self._connection = connection
        self._exchange = exchange
        self._key = key
        self._wake = wake
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Listen; returns once bound."""
        await super().start()
        await self._listening.wait()

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            try:
                with naming_losses():
                    await self._listen()
            except BROKEN as error:
                reraise_own_cancel()
                _log.warning("wake-ups interrupted", error=type(error).__name__)
            await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        channel = await self._connection.channel()
        gone = asyncio.Event()
        channel.close_callbacks.add(lambda *_: gone.set())
        name = f"{self._exchange}.{uuid4()}"
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
        await queue.bind(self._exchange, self._key)
        await queue.consume(self._take, no_ack=True)
        self._listening.set()
        self._wake()
        await gone.wait()

    async def _take(self, _message: AbstractIncomingMessage) -> None:
        self._wake()
