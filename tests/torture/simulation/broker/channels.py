"""The broker's side of a connection and of its channels.

Rules:
- A refusal (`ChannelRefusal`) closes the channel here before the client learns of it. What was
  delivered on it and not settled goes back to its queue.
- The broker speaks first only through `Client`: deliveries, and the end of something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tests.torture.simulation.broker.messages import Confirm, Delivery, Message
from tests.torture.simulation.broker.queues import Consumer, Queue
from tests.torture.simulation.broker.refusals import (
    PRECONDITION_FAILED,
    ChannelRefusal,
    SessionGone,
)

if TYPE_CHECKING:
    from pamqp.commands import Basic

    from tests.torture.simulation.broker.messages import Entry
    from tests.torture.simulation.broker.server import Server


class Client(Protocol):
    """What the broker tells a client by itself."""

    def delivered(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        """Take a message."""
        ...

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """Know that the queue of a consumer is gone."""
        ...

    def connection_lost(self) -> None:
        """Know that the connection is gone."""
        ...


class Session:
    """A connection as the broker sees it.

    Args:
        server: the broker.
        user: name of the login.
        client: the other end.
    """

    __slots__ = ("channels", "client", "is_gone", "server", "user")

    def __init__(self, server: Server, user: str, client: Client) -> None:
        self.server = server
        self.user = user
        self.client = client
        self.channels: dict[int, Channel] = {}
        self.is_gone = False

    def open_channel(self, number: int) -> Channel:
        """Open a channel."""
        self.channels[number] = Channel(self, number)
        return self.channels[number]

    def end(self) -> None:
        """Close every channel and delete the exclusive queues. Idempotent."""
        if self.is_gone:
            return
        self.is_gone = True
        for channel in [*self.channels.values()]:
            channel.close()
        self.server.forget(self)


class Channel:
    """A channel as the broker sees it."""

    __slots__ = (
        "consumers",
        "is_open",
        "number",
        "prefetch",
        "server",
        "session",
        "tag",
        "unsettled",
    )

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.server = session.server
        self.number = number
        self.is_open = True
        self.prefetch = 0
        self.tag = 0
        self.consumers: dict[str, Consumer] = {}
        self.unsettled: dict[int, tuple[Queue, Consumer | None, Entry]] = {}

    def close(self) -> None:
        """Stop its consumers and give back what it holds. Idempotent."""
        if not self.is_open:
            return
        self.is_open = False
        del self.session.channels[self.number]
        for consumer in self.consumers.values():
            consumer.queue.remove(consumer)
        lost: dict[Queue, list[Entry]] = {}
        for queue, _, entry in self.unsettled.values():
            lost.setdefault(queue, []).append(entry)
        self.unsettled = {}
        for queue, entries in lost.items():
            queue.give_back(entries, lost=True)

    # --- publishing -------------------------------------------------------------------------

    def publish(
        self,
        body: bytes,
        exchange: str,
        key: str,
        properties: Basic.Properties,
        *,
        mandatory: bool,
    ) -> Confirm:
        """Route a message, put it into its queues and confirm it."""
        user = properties.user_id
        if user is not None and user != self.session.user:
            text = f"user_id property set to '{user}' but authenticated user was "
            raise ChannelRefusal(PRECONDITION_FAILED, f"{text}'{self.session.user}'")
        headers = dict(properties.headers) if properties.headers else {}
        message = Message(body, exchange, key, headers, properties.expiration, properties)
        return self.server.publish(message, mandatory=mandatory)

    # --- consuming --------------------------------------------------------------------------

    def qos(self, prefetch: int) -> None:
        """Set the prefetch of the consumers that come."""
        self.prefetch = prefetch

    def consume(self, queue_name: str, tag: str, *, no_ack: bool) -> None:
        """Start to deliver."""
        queue = self.server.queue(queue_name, self.session)
        consumer = Consumer(queue, self, tag, self.prefetch, no_ack=no_ack)
        self.consumers[tag] = consumer
        queue.add(consumer)

    def cancel(self, tag: str) -> None:
        """Deliver nothing more to a consumer."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.remove(consumer)

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Send a message to the client."""
        self.tag += 1
        if not consumer.no_ack:
            self.unsettled[self.tag] = (consumer.queue, consumer, entry)
        headers = dict(entry.message.headers)
        if entry.returns and consumer.queue.is_quorum:
            headers["x-delivery-count"] = entry.returns
        delivery = Delivery(entry, self.tag, headers, redelivered=entry.returns > 0)
        self.session.client.delivered(self.number, consumer.tag, delivery)

    def get(self, queue_name: str, *, no_ack: bool) -> Delivery | None:
        """Take one message; None: none is ready."""
        queue = self.server.queue(queue_name, self.session)
        entry = queue.take()
        if entry is None:
            return None
        self.tag += 1
        if not no_ack:
            self.unsettled[self.tag] = (queue, None, entry)
        headers = dict(entry.message.headers)
        if queue.is_quorum:
            headers["x-delivery-count"] = entry.returns
        return Delivery(entry, self.tag, headers, redelivered=entry.returns > 0, left=queue.count)

    # --- settling ---------------------------------------------------------------------------

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Forget what a client is done with."""
        for queue, consumer, _ in self._settled(tag, multiple=multiple):
            if consumer is not None:
                queue.settled(consumer, 1)

    def reject(self, tag: int, *, multiple: bool, requeue: bool) -> None:
        """Give messages back to their queues, or dead-letter them."""
        for queue, consumer, entry in self._settled(tag, multiple=multiple):
            if requeue:
                queue.give_back([entry], lost=False)
            else:
                self.server.bury(queue, entry, "rejected")
            if consumer is not None:
                queue.settled(consumer, 1)

    def _settled(self, tag: int, *, multiple: bool) -> list[tuple[Queue, Consumer | None, Entry]]:
        if not multiple:
            if tag not in self.unsettled:
                raise self._unknown(tag)
            return [self.unsettled.pop(tag)]
        tags = [each for each in self.unsettled if each <= tag or tag == 0]
        if not tags and tag:
            raise self._unknown(tag)
        return [self.unsettled.pop(each) for each in tags]

    def _unknown(self, tag: int) -> ChannelRefusal:
        return ChannelRefusal(PRECONDITION_FAILED, f"unknown delivery tag {tag}")


def channel_of(session: Session, number: int) -> Channel:
    """Return an open channel.

    Raises:
        SessionGone: the broker knows it no more.
    """
    channel = session.channels.get(number)
    if channel is None:
        raise SessionGone
    return channel
