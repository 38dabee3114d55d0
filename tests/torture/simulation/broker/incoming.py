"""A delivery, with what aio-pika's `IncomingMessage` says and does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aio_pika.exceptions import MessageProcessError
from aiormq.exceptions import ChannelInvalidStateError

from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from tests.torture.simulation.broker.inner_channel import InnerChannel
    from tests.torture.simulation.broker.messages import Delivery


class IncomingMessage:
    """A delivery.

    Args:
        channel: where it came.
        delivery: what the broker said.
        consumer_tag: the consumer it is for; None: it was asked for.
        no_ack: whether its delivery settled it.
    """

    __slots__ = (
        "_channel",
        "_no_ack",
        "_queue",
        "body",
        "consumer_tag",
        "content_type",
        "correlation_id",
        "delivery_mode",
        "delivery_tag",
        "exchange",
        "expiration",
        "headers",
        "message_count",
        "message_id",
        "processed",
        "redelivered",
        "reply_to",
        "routing_key",
        "timestamp",
        "type",
        "user_id",
    )

    def __init__(
        self, channel: InnerChannel, delivery: Delivery, consumer_tag: str | None, *, no_ack: bool
    ) -> None:
        message = delivery.entry.message
        properties = message.properties
        expiration = message.expiration
        self._channel = channel
        self._no_ack = no_ack
        self._queue = delivery.queue
        self.processed = no_ack
        self.body = message.body
        self.consumer_tag = consumer_tag
        self.content_type = properties.content_type
        self.correlation_id = properties.correlation_id
        self.delivery_mode = properties.delivery_mode
        self.delivery_tag = delivery.tag
        self.exchange = message.exchange
        self.expiration = None if expiration is None else int(expiration) / 1000
        self.headers = delivery.headers
        self.message_count = delivery.left
        self.message_id = properties.message_id
        self.redelivered = delivery.redelivered
        self.reply_to = properties.reply_to
        self.routing_key = message.key
        at = properties.timestamp
        self.timestamp = None if at is None else at.replace(microsecond=0)  # as AMQP has it
        self.type = properties.message_type
        self.user_id = properties.user_id

    async def ack(self, *, multiple: bool = False) -> None:
        """Settle it."""
        self._process(multiple=multiple)
        await self._channel.ack(self._queue, self.delivery_tag)

    async def nack(self, *, multiple: bool = False, requeue: bool = True) -> None:
        """Give it back, or have it dead-lettered."""
        self._process(multiple=multiple)
        await self._channel.reject(self._queue, self.delivery_tag, requeue=requeue)

    async def reject(self, *, requeue: bool = False) -> None:
        """Give it back, or have it dead-lettered."""
        self._process(multiple=False)
        await self._channel.reject(self._queue, self.delivery_tag, requeue=requeue)

    def _process(self, *, multiple: bool) -> None:
        if multiple:
            raise NotSimulated("multiple")
        if self._no_ack:
            raise TypeError("Can't settle a message with no_ack")
        if self.processed:
            raise MessageProcessError("Message already processed", self)
        if self._channel.is_closed:
            raise ChannelInvalidStateError
        self.processed = True
