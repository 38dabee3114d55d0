"""Publishing: confirmed, repeated until confirmed, recognisable by id.

Rules:
- A publish that timed out or whose connection died is ambiguous: it is repeated. Every body we
  publish carries an id its consumer can recognise, so a repeat is harmless.
- Two publishes with one message id are never in flight together on a channel: the client library
  matches returns by that id.
- Copies are mandatory and keep body, message id, type, correlation id and headers; they drop
  `user_id` (the broker would refuse it), `expiration` (it overrides the tier), CC and BCC.
- A copy always bears a message id, because the client library makes one up where there is none, and
  a made-up one would contradict the body's: the body's own, else one marked as a stand-in.
- Events are not mandatory: a consumer that is not there must not block a command. The alternate
  exchange counts what nobody took.
- Published on the client library's inner channel: its message object costs a fifth of a publish
  and gives nothing here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from aio_pika import DeliveryMode
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from contracts.commands import own_message_id
from contracts.names import Exchange, Header, Key, retry_key
from worker.broker.leniency import portable
from worker.broker.link import BROKEN, naming_losses, reraise_own_cancel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_pika.abc import AbstractChannel
    from aiormq.abc import AbstractChannel as InnerChannel

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
        self._opening = asyncio.Lock()
        self._in_flight: dict[str, asyncio.Event] = {}
        self._broadcasts: set[asyncio.Task[None]] = set()
        self.dropped_metrics = 0

    async def start(self) -> None:
        """Open the channel, so that the first publish finds it."""
        await self._open()

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
        properties = Basic.Properties(
            message_id=event.id,
            message_type=event.type,
            content_type="application/json",
            correlation_id=event.correlation_id,
            delivery_mode=DeliveryMode.PERSISTENT.value,
            headers=dict(event.headers) if event.headers else None,
        )
        await self._publish(event.exchange, event.key, event.body, properties, mandatory=False)

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.park`."""
        key = retry_key(tier, incoming.queue)
        await self._publish(Exchange.RETRY, key, incoming.body, _copied(incoming, headers))

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.dead`."""
        about = {**headers, Header.REASON: reason, Header.SOURCE: incoming.queue}
        properties = _copied(incoming, about)
        await self._publish(Exchange.DEAD, incoming.queue, incoming.body, properties)

    async def reply(self, user: str, ident: str, body: bytes) -> None:
        """See `Replier.reply`. Tried once: who misses it sends the same command id again."""
        properties = Basic.Properties(
            content_type="application/json",
            message_type="ControlReply.v1",
            correlation_id=ident,
        )
        key = f"reply.{user}.{ident}"
        try:
            await self._once(Exchange.REPLIES, key, body, properties, mandatory=True)
        except BROKEN as error:  # an unroutable one too
            reraise_own_cancel()
            _log.warning("reply not taken", key=key, error=type(error).__name__)

    async def announce_state(self, body: bytes) -> None:
        """See `Replier.announce_state`. Tried once: replicas re-read every second anyway."""
        properties = Basic.Properties(content_type="application/json", message_type=Key.STATE)
        try:
            await self._once(Exchange.STATE, Key.STATE, body, properties)
        except BROKEN as error:
            reraise_own_cancel()
            _log.warning("state not announced", error=type(error).__name__)

    def metric(self, key: str, body: bytes) -> None:
        """See `Broadcast.metric`."""
        if not self._link.is_up:
            self.dropped_metrics += 1
            return
        task = asyncio.get_running_loop().create_task(self._metric(key, body))
        self._broadcasts.add(task)
        task.add_done_callback(self._broadcasts.discard)

    async def _metric(self, key: str, body: bytes) -> None:
        properties = Basic.Properties(content_type="application/json", message_type=key)
        try:
            await self._once(Exchange.METRICS, key, body, properties)
        except BROKEN:
            self.dropped_metrics += 1

    async def _once(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool = False,
    ) -> None:
        """Publish, the opening of a channel included in the time it may take. Raises `BROKEN`."""
        async with asyncio.timeout(CONFIRM_TIMEOUT_S):
            channel = await self._open()
            await self._send(channel, exchange, key, body, properties, mandatory=mandatory)

    async def _send(
        self,
        channel: InnerChannel,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool,
    ) -> None:
        with naming_losses():
            await channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=key,
                properties=properties,
                mandatory=mandatory,
            )

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool = True,
    ) -> None:
        """Publish until confirmed, alone with its message id."""
        ident = properties.message_id or ""
        while (other := self._in_flight.get(ident)) is not None:
            await other.wait()
        self._in_flight[ident] = done = asyncio.Event()
        try:
            while not await self._try(exchange, key, body, properties, mandatory=mandatory):  # noqa: ASYNC110 - a backoff
                await asyncio.sleep(_BACKOFF_S)
        finally:
            del self._in_flight[ident]
            done.set()

    async def _try(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool,
    ) -> bool:
        try:
            channel = await self._open()
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await self._send(channel, exchange, key, body, properties, mandatory=mandatory)
        except (PublishError, DeliveryError) as error:
            _log.error("publish refused", exchange=exchange, key=key, error=type(error).__name__)
            return False
        except BROKEN as error:
            reraise_own_cancel()
            _log.warning("publish not confirmed", key=key, error=type(error).__name__)
            return False
        return True

    async def _open(self) -> InnerChannel:
        """The channel, opened anew where it is gone."""
        if self._channel is not None and not self._channel.is_closed:
            return await self._channel.get_underlay_channel()
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.channel()
            return await self._channel.get_underlay_channel()


def _copied(incoming: Incoming, headers: Mapping[str, object]) -> Basic.Properties:
    """Properties of a copy."""
    kept = {
        k: v for k, v in incoming.headers.items() if k not in _DROPPED and not k.startswith("x-")
    }
    name = incoming.message_id or own_message_id(incoming.body)
    if name is None:
        kept[Header.NAMELESS] = True
    return Basic.Properties(
        message_id=name,
        message_type=incoming.type,
        content_type=incoming.content_type,
        correlation_id=incoming.correlation_id,
        timestamp=incoming.timestamp,
        delivery_mode=DeliveryMode.PERSISTENT.value,
        headers=portable({**kept, **{str(k): v for k, v in headers.items()}}),
    )
