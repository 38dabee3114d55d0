"""Publishing: confirmed, repeated until confirmed, recognisable by id.

Rules:
- A publish that timed out or whose connection died is ambiguous: it is repeated. Every body we
  publish carries an id its consumer can recognise, so a repeat is harmless.
- Two publishes with one message id are never in flight together on a channel: the client library
  matches returns by that id.
- Copies are mandatory and keep body, message id, type, correlation id and headers; they drop
  `user_id` (the broker would refuse it), `expiration` (it overrides the tier), CC and BCC.
- Events are not mandatory: a consumer that is not there must not block a command. The alternate
  exchange counts what nobody took.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import DeliveryError, PublishError

from contracts.names import Exchange, Header, retry_key
from worker.broker.link import LOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aio_pika.abc import AbstractChannel, AbstractExchange, HeadersType

    from worker.broker.link import Link
    from worker.ports import Event, Incoming

CONFIRM_TIMEOUT_S: Final = 10.0
_BACKOFF_S: Final = 0.2
_DROPPED: Final = frozenset({"CC", "BCC"})
_log = structlog.get_logger(__name__)


class AmqpPublisher:
    """The `Publisher` and `Broadcast` ports on one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._opening = asyncio.Lock()
        self._in_flight: dict[str, asyncio.Event] = {}
        self._broadcasts: set[asyncio.Task[None]] = set()
        self.dropped_metrics = 0

    async def start(self) -> None:
        """Open the channel, so that the first publish finds it."""
        await self._exchange(Exchange.EVENTS)

    async def drain(self) -> None:
        """Return when the metric events handed over are out."""
        await asyncio.gather(*self._broadcasts, return_exceptions=True)

    async def stop(self) -> None:
        """Close the channel. Idempotent."""
        if self._channel is not None and not self._channel.is_closed:
            await self._channel.close()
        self._channel = None

    async def event(self, event: Event) -> None:
        """See `Publisher.event`."""
        message = Message(
            event.body,
            message_id=event.id,
            type=event.type,
            content_type="application/json",
            correlation_id=event.correlation_id,
            delivery_mode=DeliveryMode.PERSISTENT,
            headers=dict(event.headers) if event.headers else None,
        )
        await self._publish(event.exchange, event.key, message, mandatory=False)

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.park`."""
        message = _copy(incoming, headers)
        await self._publish(Exchange.RETRY, retry_key(tier, incoming.queue), message)

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.dead`."""
        about = {**headers, Header.REASON: reason, Header.SOURCE: incoming.queue}
        await self._publish(Exchange.DEAD, incoming.queue, _copy(incoming, about))

    def metric(self, key: str, body: bytes) -> None:
        """See `Broadcast.metric`."""
        if not self._link.is_up:
            self.dropped_metrics += 1
            return
        task = asyncio.get_running_loop().create_task(self._metric(key, body))
        self._broadcasts.add(task)
        task.add_done_callback(self._broadcasts.discard)

    async def _metric(self, key: str, body: bytes) -> None:
        message = Message(body, content_type="application/json", type=key)
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):  # a new channel may be long in coming
                exchange = await self._exchange(Exchange.METRICS)
                await exchange.publish(message, key, mandatory=False)
        except (*LOST, asyncio.CancelledError):
            self.dropped_metrics += 1

    async def _publish(
        self, exchange_name: str, key: str, message: Message, *, mandatory: bool = True
    ) -> None:
        async with self._alone(message.message_id or ""):
            while not await self._try(exchange_name, key, message, mandatory=mandatory):  # noqa: ASYNC110 - a backoff
                await asyncio.sleep(_BACKOFF_S)

    async def _try(
        self, exchange_name: str, key: str, message: Message, *, mandatory: bool
    ) -> bool:
        try:
            exchange = await self._exchange(exchange_name)
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await exchange.publish(message, key, mandatory=mandatory)
        except (PublishError, DeliveryError) as error:
            _log.error(
                "publish refused", exchange=exchange_name, key=key, error=type(error).__name__
            )
            return False
        except LOST as error:
            _log.warning("publish not confirmed", key=key, error=type(error).__name__)
            return False
        except asyncio.CancelledError:
            # The library cancels the futures of a dead channel. Nobody cancels our tasks.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return False
        return True

    @asynccontextmanager
    async def _alone(self, message_id: str) -> AsyncIterator[None]:
        """Wait until no other publish of this id is under way."""
        while (other := self._in_flight.get(message_id)) is not None:
            await other.wait()
        self._in_flight[message_id] = done = asyncio.Event()
        try:
            yield
        finally:
            del self._in_flight[message_id]
            done.set()

    async def _exchange(self, name: str) -> AbstractExchange:
        channel = self._channel
        if channel is None or channel.is_closed:
            channel = await self._open()
        found = self._exchanges.get(name)
        if found is None:
            found = await channel.get_exchange(name, ensure=False)
            self._exchanges[name] = found
        return found

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._exchanges.clear()
                self._channel = await self._link.channel()
            return self._channel


def _copy(incoming: Incoming, headers: Mapping[str, object]) -> Message:
    kept = {
        k: v for k, v in incoming.headers.items() if k not in _DROPPED and not k.startswith("x-")
    }
    return Message(
        incoming.body,
        message_id=incoming.message_id,
        type=incoming.type,
        content_type=incoming.content_type,
        correlation_id=incoming.correlation_id,
        timestamp=incoming.timestamp,
        delivery_mode=DeliveryMode.PERSISTENT,
        headers=cast("HeadersType", {**kept, **{str(k): v for k, v in headers.items()}}),
    )
