"""Reads `sms.dead`, and publishes the letters that are replayed.

Rules: reading a letter neither acknowledges nor rejects it. When the channel closes, the broker
puts all unacknowledged letters back, also if this process is killed. (A quorum queue puts returned
letters behind those that returned before, so the letters read first come last the next time.
Nothing here relies on the order.) While one reader holds letters, other readers do not see them. A
reader takes only as many letters as were there at its start; a letter that dies again meanwhile is
left for the next time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from aio_pika import DeliveryMode, Message

from contracts.commands import own_message_id
from contracts.names import Exchange, Header, Queue, retry_key
from worker.broker.connection import connect
from worker.broker.consumer import to_incoming
from worker.broker.tolerant_decoding import for_copy
from worker.handlers.dead_letters import dead_letter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType

    from worker.handlers.dead_letters import DeadLetter

TIMEOUT_S: Final = 10.0
_TIER: Final = "replay"
"""First word of the key on `sms.requeue`; for other copies it is the name of a tier."""
_DROPPED: Final = frozenset(
    {"CC", "BCC", Header.ROUND, Header.SEAL, Header.ERRORS, Header.REPORT_TRIES, Header.REASON}
    | {Header.SOURCE, Header.ATTEMPTS, Header.LAST_AT}
)
"""Headers that belong to the life that is over, or that would misroute a copy."""


@dataclass(slots=True)
class DeadQueue:
    """`sms.dead` on one channel with publisher confirms."""

    channel: AbstractChannel

    async def count(self) -> int:
        """Count the letters that no reader holds."""
        return await ready(self.channel, Queue.DEAD)

    async def letters(self, most: int | None = None) -> AsyncIterator[tuple[DeadLetter, Ack]]:
        """Take the oldest letters, each with the call that acknowledges it.

        Args:
            most: largest number of letters; None: all that are there now.
        """
        queue = await self.channel.get_queue(Queue.DEAD, ensure=False)
        total = await self.count()
        for _ in range(total if most is None else min(total, most)):
            message = await queue.get(fail=False, timeout=TIMEOUT_S)
            if message is None:
                return
            yield dead_letter(to_incoming(message, Queue.DEAD)), Ack(message)

    async def back(self, letter: DeadLetter, queue: str, headers: Mapping[str, object]) -> None:
        """See `handlers.replay.Outlet`. Raises what the broker or the connection raises."""
        exchange = await self.channel.get_exchange(Exchange.REQUEUE, ensure=False)
        key = retry_key(_TIER, queue)
        await exchange.publish(_copy(letter, headers), key, mandatory=True, timeout=TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Ack:
    """Takes one letter out of `sms.dead`."""

    message: AbstractIncomingMessage

    async def __call__(self) -> None:
        """Acknowledge."""
        await self.message.ack()


@asynccontextmanager
async def dead_queue(url: str) -> AsyncIterator[DeadQueue]:
    """Connect and read; unacknowledged letters go back to the queue at the end."""
    async with await connect(url, timeout_s=TIMEOUT_S) as connection:
        yield DeadQueue(await connection.channel(on_return_raises=True))


async def ready(channel: AbstractChannel, queue: str) -> int:
    """Count the messages in `queue` that no consumer holds."""
    declared = await channel.declare_queue(queue, passive=True, timeout=TIMEOUT_S)
    return declared.declaration_result.message_count or 0


def _copy(letter: DeadLetter, headers: Mapping[str, object]) -> Message:
    dead = letter.incoming
    kept = {
        name: value
        for name, value in dead.headers.items()
        if name not in _DROPPED and not name.startswith("x-")
    }
    return Message(
        dead.body,
        message_id=dead.message_id or own_message_id(dead.body),
        type=dead.type,
        content_type=dead.content_type,
        correlation_id=dead.correlation_id,
        timestamp=dead.timestamp,
        delivery_mode=DeliveryMode.PERSISTENT,
        headers=cast("HeadersType", {**for_copy(kept), **{str(k): v for k, v in headers.items()}}),
    )
