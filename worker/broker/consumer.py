"""Consumes one queue.

Rules:
- Each delivery is handled in our own task, which is never cancelled. The library cancels its own
  callbacks when a channel dies, and a cancelled POST would have an unknown outcome.
- If the channel is gone, a lost acknowledgement needs no repair: the delivery comes again, and the
  record shows that it is done. Acknowledgements on their way are then given up, because the library
  waits for ever for a place in the queue of a connection that nobody writes to any more.
- Deliveries handed back in a drain are `nack`ed; those that our own code fails on are `reject`ed.
  RabbitMQ 4.3 and later count only rejects, and only that count ends a delivery that always fails.
- Consuming stops while something holds it (store unavailable, breakers open) and then goes on.
- Drain: take nothing new, hand back what is not begun, finish what is in hand, keep the channel for
  its acknowledgements. A broker that hangs does not prolong the grace.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from contracts.names import Exchange, Header
from worker.broker.connection import BROKEN, naming_losses, reraise_own_cancel
from worker.ports.broker import Incoming, Settlement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

    from worker.broker.connection import BrokerConnection
    from worker.ports.broker import Handler
    from worker.service import Background

    Settling = set[asyncio.Task[None] | None]
    """Tasks that acknowledge on one channel."""
    Take = Callable[[AbstractIncomingMessage], Awaitable[None]]

OPERATION_TIMEOUT_S: Final = 10.0
RETRY_S: Final = 0.5
_OURS: Final = frozenset({Exchange.REQUEUE, Exchange.LOST, Exchange.DEAD})
"""Exchanges that only we, or the broker for us, can write to. A message that the broker moved to
`sms.lost` may carry headers of its publisher; the handler checks them (`handlers.copies`)."""
_PREFIX: Final = "sms-"
_log = structlog.get_logger(__name__)


class Consumer:
    """A service that feeds one queue to one handler.

    Args:
        connection: connection for consuming only.
        background: runs the keeper; its death ends the process.
        queue: name of a queue that exists.
        prefetch: deliveries in hand at once.
        handler: settles a delivery; must not raise.
        grace_s: longest time that `drain` waits for deliveries in hand.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        background: Background,
        queue: str,
        *,
        prefetch: int,
        handler: Handler,
        grace_s: float,
    ) -> None:
        self._connection = connection
        self._background = background
        self._queue = queue
        self._prefetch = prefetch
        self._handler = handler
        self._grace_s = grace_s
        self._in_hand: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._changed = asyncio.Event()
        self._draining = False
        self._drained = False
        self._keeper: asyncio.Task[None] | None = None
        self._consuming = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        background.owes(f"deliveries of {queue}", lambda: len(self._in_hand))

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers to us now."""
        return self._consuming.is_set()

    @property
    def in_hand(self) -> int:
        """Deliveries not settled yet."""
        return len(self._in_hand)

    @property
    def held_by(self) -> frozenset[str]:
        """Names of the parts that hold consuming back."""
        return frozenset(self._held)

    async def start(self) -> None:
        """Start to consume; returns at once if consuming is held back.

        It waits as long as the broker does not answer: the keeper tries again and again.
        """
        self._keeper = self._background.spawn(self._keep(), f"consume {self._queue}")
        if not self._held:
            await self._consuming.wait()

    def hold(self, who: str) -> None:
        """Take nothing new until `free(who)`."""
        if who not in self._held:
            self._held.add(who)
            self._changed.set()

    def free(self, who: str) -> None:
        """Undo `hold(who)`."""
        if who in self._held:
            self._held.discard(who)
            self._changed.set()

    def pause(self, who: str, seconds: float) -> None:
        """Hold for a time; a second call with the same `who` restarts the time."""
        self.hold(who)
        timer = self._timers.pop(who, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[who] = loop.call_later(max(seconds, RETRY_S), self.free, who)

    async def drain(self) -> None:
        """Take nothing new and wait for deliveries in hand, at most `grace_s`. Idempotent."""
        if self._drained:
            return
        self._draining = True
        self._changed.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace_s):
                if self._keeper is not None:
                    await asyncio.wait({self._keeper})  # if it died, `Background` knows already
                if self._in_hand:
                    await asyncio.wait(self._in_hand)
        self._drained = True

    async def stop(self) -> None:
        """Drain if needed, and stop the timers; unsettled deliveries come again."""
        if not self._draining:
            await self.drain()
        for timer in self._timers.values():
            timer.cancel()

    async def _keep(self) -> None:
        """Consume while nothing holds it back, on a new channel when the old one is lost."""
        while not self._draining:
            self._changed.clear()
            if self._held:
                await self._changed.wait()
                continue
            channel = None
            try:
                with naming_losses():
                    channel = await self._link_channel()
                    if channel is not None:
                        await self._consume_on(channel)
            except BROKEN as error:
                reraise_own_cancel()
                _log.warning("consumer failed", queue=self._queue, error=type(error).__name__)
                await _let_go(channel)
                await asyncio.sleep(RETRY_S)
            finally:
                self._consuming.clear()

    async def _link_channel(self) -> AbstractChannel | None:
        """Open a channel; None if something changed meanwhile."""
        opening = asyncio.ensure_future(self._connection.channel())
        changed = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait({opening, changed}, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        if opening.done():
            return opening.result()
        opening.cancel()
        return None

    async def _consume_on(self, channel: AbstractChannel) -> None:
        """Consume until held, draining, or the channel is gone."""
        gone = asyncio.Event()
        channel.close_callbacks.add(lambda *_: gone.set())
        settling: Settling = set()
        channel.close_callbacks.add(lambda *_: _give_up(settling))
        take = partial(self._take, settling)
        async with asyncio.timeout(OPERATION_TIMEOUT_S):
            await channel.set_qos(prefetch_count=self._prefetch)
            inner = await channel.get_underlay_channel()
            # The broker cancels a consumer if its queue is deleted or moves: then consume anew.
            inner.on_consumer_cancel_callbacks.add(lambda *_: gone.set())
            queue = await channel.get_queue(self._queue, ensure=False)
        while not self._draining and not gone.is_set() and not channel.is_closed:
            self._changed.clear()
            if not self._held:
                await self._deliver_until_changed(queue, take, gone)
            else:
                await _first(self._changed.wait(), gone.wait())

    async def _deliver_until_changed(
        self, queue: AbstractQueue, take: Take, gone: asyncio.Event
    ) -> None:
        async with asyncio.timeout(OPERATION_TIMEOUT_S):
            tag = await queue.consume(take)
        self._consuming.set()
        await _first(self._changed.wait(), gone.wait())
        if not gone.is_set():
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                await queue.cancel(tag)
        self._consuming.clear()  # only now: the broker may deliver until it confirms

    async def _take(self, settling: Settling, message: AbstractIncomingMessage) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(settling, message))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _handle(self, settling: Settling, message: AbstractIncomingMessage) -> None:
        try:
            settlement = await self._handler(to_incoming(message, self._queue))
            settle = message.ack if settlement is Settlement.ACK else message.nack
        except Exception:  # noqa: BLE001 - a bug in the outermost wrapper; the broker keeps the message
            _log.exception("delivery not settled", queue=self._queue)
            await asyncio.sleep(RETRY_S)
            settle = partial(message.reject, requeue=True)
        settling.add(task := asyncio.current_task())
        try:
            await settle()
        except BROKEN as error:
            _log.info("settled without a channel", queue=self._queue, error=type(error).__name__)
        finally:
            settling.discard(task)


def _give_up(settling: Settling) -> None:
    """Wait no longer for acknowledgements on a channel that is gone."""
    for task in settling:
        if task is not None:
            task.cancel()


async def _let_go(channel: AbstractChannel | None) -> None:
    """Close a channel that failed, because a consumer left on it would take more deliveries."""
    if channel is None or channel.is_closed:
        return
    try:
        async with asyncio.timeout(OPERATION_TIMEOUT_S):
            await channel.close()
    except BROKEN as error:
        reraise_own_cancel()
        _log.info("channel not closed", error=type(error).__name__)


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def to_incoming(message: AbstractIncomingMessage, queue: str) -> Incoming:
    """Convert a delivery from `queue` into what the handlers take.

    Our own headers (`contracts.names.Header`) are kept only if we alone can have published the
    message. Otherwise a publisher that sends a dead letter again, headers included, would end the
    life of the new message.
    """
    headers = message.headers if message.exchange in _OURS else _foreign(message.headers)
    return Incoming(
        queue=queue,
        body=message.body,
        redelivered=bool(message.redelivered),
        headers=headers,
        message_id=None if Header.NAMELESS in headers else message.message_id,
        type=message.type,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        user_id=message.user_id,
        timestamp=message.timestamp,
        routing_key=message.routing_key or "",
    )


def _foreign(headers: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in headers.items() if not name.startswith(_PREFIX)}
