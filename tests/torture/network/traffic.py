"""Commands at a fixed rate on both lanes, published until the broker confirms each.

Rules: the clock sets the rate, whatever becomes of earlier commands, up to `most_open`. A command
whose confirmation was lost is published again with the same id, as an upstream service has to. So
every command that is noted here is one that the broker confirmed when `flowing` ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import aio_pika

from contracts.names import Exchange
from tests.support.recipients import new_number
from tests.support.whole_system import Sent
from tests.torture.judge.facts import Command
from worker.broker.connection import BROKEN, BrokerConnection, reraise_own_cancel
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aio_pika.abc import AbstractChannel, AbstractExchange

    from tests.support.whole_system import System

LANES: Final = ("transactional", "bulk")
LIFE_S: Final = {"transactional": 600.0, "bulk": 86_400.0}
"""What a command without `expiresAt` has to live."""
_BEAT_S: Final = 0.02
_CONFIRMED_WITHIN_S: Final = 5.0
_AGAIN_S: Final = 0.1


class Upstream:
    """A service that publishes; its connection comes back when it was lost."""

    def __init__(self, url: str) -> None:
        self._background = Background()
        self._connection = BrokerConnection(url, "upstream", self._background)
        self._opening = asyncio.Lock()
        self._channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        await self._connection.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.stop()
        await self._background.stop()

    async def publish(self, key: str, ident: str, body: bytes) -> None:
        """Publish until the broker confirms it."""
        message = aio_pika.Message(body, message_id=ident, delivery_mode=2)
        while True:
            try:
                exchange = await self._open()
                async with self._connection.patience(_CONFIRMED_WITHIN_S):
                    await exchange.publish(message, key)
            except BROKEN:
                reraise_own_cancel()
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def _open(self) -> AbstractExchange:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel()
            return await self._channel.get_exchange(Exchange.COMMANDS, ensure=False)


class Traffic:
    """Commands `PREFIX-0`, `PREFIX-1`, ...

    Args:
        system: that gets them.
        url: of the upstream service's login.
        prefix: of their ids.
        rate: commands per second.
        lanes: taken in turn.
        most_open: so many may be without an end; a slow machine then gets less traffic.
    """

    def __init__(
        self,
        system: System,
        url: str,
        prefix: str,
        rate: float,
        lanes: Sequence[str] = LANES,
        *,
        most_open: int = sys.maxsize,
    ) -> None:
        self._system = system
        self._upstream = Upstream(url)
        self._prefix = prefix
        self._rate = rate
        self._lanes = lanes
        self._most_open = most_open
        self._open: list[str] = []
        self._publishes: set[asyncio.Task[None]] = set()
        self.commands: dict[str, Command] = {}

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Publish within the block; ends when the broker has confirmed everything."""
        async with self._upstream:
            pacing = asyncio.create_task(self._pace())
            try:
                yield
            finally:
                pacing.cancel()
                await asyncio.wait({pacing})
                await asyncio.gather(*self._publishes)

    async def _pace(self) -> None:
        began = time.monotonic()
        while True:
            first = len(self.commands)
            due = int((time.monotonic() - began) * self._rate) - first
            count = max(0, min(due, self._most_open - len(self.without_end())))
            for number in range(first, first + count):
                lane = self._lanes[number % len(self._lanes)]
                command = self._command(f"{self._prefix}-{number}", lane)
                task = asyncio.create_task(self._publish(command))
                self._publishes.add(task)
                task.add_done_callback(self._publishes.discard)
            await asyncio.sleep(_BEAT_S)  # the beat of the load; the clock says how much is due

    async def _publish(self, command: Command) -> None:
        body = {"messageId": command.id, "to": command.to, "text": f"hello #{command.id}"}
        await self._upstream.publish(f"send.{command.lane}", command.id, json.dumps(body).encode())

    def _command(self, ident: str, lane: str) -> Command:
        now, to = time.time(), new_number()
        command = Command(ident, to, lane, lane == "transactional", now, now + LIFE_S[lane])
        self.commands[ident] = command
        self._open.append(ident)
        self._system.sent[ident] = Sent(ident, to, lane)
        return command

    def ended(self) -> int:
        """How many have an end that upstream knows, or are held as unknown."""
        return len(self.commands) - len(self.without_end())

    def without_end(self) -> list[str]:
        """Ids of those of which upstream knows nothing yet."""
        self._open = [ident for ident in self._open if not self._system.events.of(ident)]
        return self._open
