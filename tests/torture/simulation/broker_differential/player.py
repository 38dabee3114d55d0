"""Plays a script on a broker through aio-pika's API, and writes down what can be seen.

Rules: the same code plays on both brokers. What a broker does by itself takes the real one a while,
so what the queues hold is awaited, where it is known what they should hold.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import aio_pika
from aio_pika.exceptions import DeliveryError, PublishError

from tests.torture.simulation.broker_differential.scripts import (
    EXPIRING,
    MAIN,
    QUEUES,
    TTL_MS,
    CloseChannel,
    Consume,
    Get,
    Publish,
    Purge,
    Settle,
    Share,
)
from tests.torture.simulation.broker_differential.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.torture.simulation.broker_differential.scripts import Step

_PATIENCE_S = 5.0
_PAUSE_S = 0.01
"""In which a broker usually does what it does by itself."""


class Seen(NamedTuple):
    """What a step showed."""

    step: Step
    result: Any
    counts: tuple[int, ...]
    """Ready messages of each queue."""


class Player:
    """One client of a broker.

    Args:
        connection: as aio-pika has it.
        prefix: of all its names on the broker.
        expected: what each step should show; None: whatever it shows.
    """

    def __init__(
        self, connection: Any, prefix: str, expected: Sequence[Seen] | None = None
    ) -> None:
        self._connection = connection
        self._stage = Stage(prefix)
        self._expected = expected
        self._wanted: Seen | None = None
        """What the present step should show."""
        self._channel: Any = None
        self._looking: Any = None
        self._held: list[Any] = []

    async def play(self, script: Sequence[Step]) -> list[Seen]:
        """Play a script on queues of its own, up to the first step that shows something else."""
        self._looking = await self._connection.channel()
        await self._stage.declare(self._looking)
        self._channel = await self._connection.channel(on_return_raises=True)
        seen: list[Seen] = []
        for n, step in enumerate(script):
            seen.append(await self._see(n, step))
            if self._expected is not None and seen[n] != self._expected[n]:
                break
        await self._channel.close()
        await self._stage.delete(self._looking)
        await self._looking.close()
        return seen

    async def _see(self, n: int, step: Step) -> Seen:
        self._wanted = None if self._expected is None else self._expected[n]
        result = await self._do(step)
        if isinstance(step, Publish) and (step.expires_ms or step.key in EXPIRING):
            await asyncio.sleep(TTL_MS / 1000)
        await asyncio.sleep(_PAUSE_S)
        wanted = None if self._wanted is None else self._wanted.counts
        return Seen(step, result, await self._counts(wanted))

    async def _do(self, step: Step) -> Any:
        does: dict[type, Callable[[Any], Awaitable[Any]]] = {
            Publish: self._publish,
            Get: self._get,
            Settle: self._settle,
            Consume: self._consume,
            Share: self._share,
            Purge: self._purge,
            CloseChannel: self._close_channel,
        }
        return await does[type(step)](step)

    async def _publish(self, step: Publish) -> str:
        exchange = await self._channel.get_exchange(self._stage.full(MAIN), ensure=False)
        message = aio_pika.Message(
            step.body.encode(),
            message_id=step.body,
            delivery_mode=2,
            headers={key: self._completed(value) for key, value in step.headers},
            expiration=None if step.expires_ms is None else step.expires_ms / 1000,
        )
        try:
            await exchange.publish(message, step.key, mandatory=step.mandatory)
        except (PublishError, DeliveryError) as error:
            return type(error).__name__
        return "taken"

    def _completed(self, header: Any) -> Any:
        """Return a header with the full names of queues."""
        if not isinstance(header, list):
            return header
        return [
            {**each, "queue": self._stage.full(each["queue"])} if isinstance(each, dict) else each
            for each in header
        ]

    async def _get(self, step: Get) -> Any:
        queue = await self._channel.get_queue(self._stage.full(step.queue), ensure=False)
        return [self._take(await queue.get(fail=False)) for _ in range(step.count)]

    async def _purge(self, step: Purge) -> int:
        queue = await self._looking.get_queue(self._stage.full(step.queue), ensure=False)
        return int((await queue.purge()).message_count)

    async def _close_channel(self, _: CloseChannel) -> None:
        self._held = []
        await self._channel.close()
        self._channel = await self._connection.channel(on_return_raises=True)

    def _take(self, message: Any) -> Any:
        if message is None:
            return None
        self._held.append(message)
        headers = {key: _timeless(value) for key, value in message.headers.items()}
        return (
            message.body,
            message.redelivered,
            message.exchange,
            message.routing_key,
            message.expiration,
            headers,
        )

    async def _settle(self, step: Settle) -> Any:
        if not self._held:
            return None
        message = self._held.pop(int(step.which * len(self._held)))
        if step.how == "ack":
            await message.ack()
        elif step.how == "nack":
            await message.nack()
        else:
            await message.reject(requeue=step.how == "reject")
        return message.body

    async def _consume(self, step: Consume) -> list[Any]:
        came: list[Any] = []

        async def receive(message: Any) -> None:
            came.append(message)

        await self._channel.set_qos(prefetch_count=step.most)
        queue = await self._channel.get_queue(self._stage.full(step.queue), ensure=False)
        tag = await queue.consume(receive)
        async with asyncio.timeout(_PATIENCE_S):
            while len(came) < step.most and await self._count(step.queue):
                await asyncio.sleep(_PAUSE_S)
        await queue.cancel(tag)
        await asyncio.sleep(_PAUSE_S)  # what came before the end of the consumer is received
        return [self._take(message) for message in came]

    async def _share(self, step: Share) -> tuple[list[tuple[int, bytes, bool]], list[int]]:
        """Returns who got what, and how much had come after each stage."""
        came: list[tuple[int, bytes, bool]] = []
        stages: list[int] = []
        channels = [await self._connection.channel() for _ in step.prefetches]
        for n, channel in enumerate(channels):

            async def receive(message: Any, n: int = n) -> None:
                came.append((n, message.body, message.redelivered))

            await channel.set_qos(prefetch_count=step.prefetches[n])
            queue = await channel.get_queue(self._stage.full(step.queue), ensure=False)
            await queue.consume(receive)
            await self._end_stage(came, stages)
        for m in range(step.count):
            await self._publish(Publish(f"{step.body}-{m}", step.key, mandatory=True))
            await self._end_stage(came, stages)
        for channel in channels:
            await channel.close()
            await self._end_stage(came, stages)
        return came, stages

    async def _end_stage(self, came: list[Any], stages: list[int]) -> None:
        """Wait until as much has come as should have."""
        wanted = self._wanted.result[1][len(stages)] if self._wanted is not None else 0
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        await asyncio.sleep(_PAUSE_S)
        while len(came) < wanted and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_PAUSE_S)
        stages.append(len(came))

    async def _counts(self, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            found = tuple([await self._count(spec.name) for spec in QUEUES])
            if wanted in {None, found} or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(_PAUSE_S)

    async def _count(self, name: str) -> int:
        declared = await self._looking.declare_queue(self._stage.full(name), passive=True)
        return int(declared.declaration_result.message_count or 0)


def _timeless(value: Any) -> Any:
    """Return a header without the times at which a message died."""
    if not isinstance(value, list):
        return value
    return [
        {key: each[key] for key in each if key != "time"} if isinstance(each, dict) else each
        for each in value
    ]
