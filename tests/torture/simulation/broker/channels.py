"""The broker's side of a channel: publishing, consuming, settling.

Rules: a client must have the right to what it does (`rights`). What was delivered on a channel and
not settled goes back to its queue when the channel closes: by consumer in the order of their tags,
and what was asked for with `get` each as a consumer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker.consumers import Consumer
from tests.torture.simulation.broker.messages import Confirm, Delivery, Message
from tests.torture.simulation.broker.refusals import PRECONDITION_FAILED, ChannelRefusal
from tests.torture.simulation.broker.rights import READ, WRITE

if TYPE_CHECKING:
    from pamqp.commands import Basic

    from tests.torture.simulation.broker.messages import Entry
    from tests.torture.simulation.broker.queues import Queue
    from tests.torture.simulation.broker.sessions import Session

_COPIES: Final = ("CC", "BCC")


class Channel:
    """A channel as the broker sees it.

    Args:
        session: the connection it is on.
        number: its number there.
    """

    __slots__ = ("consumers", "number", "prefetch", "server", "session", "tag", "unsettled")

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.server = session.server
        self.number = number
        self.prefetch = 0
        self.tag = 0
        self.consumers: dict[str, Consumer] = {}
        self.unsettled: dict[int, tuple[Queue, Consumer | None, Entry]] = {}

    def close(self) -> None:
        """Stop its consumers and give back what it holds. Idempotent."""
        if self.session.channels.pop(self.number, None) is None:
            return
        for consumer in self.consumers.values():
            consumer.queue.remove(consumer)
        lost: dict[Queue, list[tuple[str, Entry]]] = {}
        for tag, (queue, consumer, entry) in self.unsettled.items():
            holder = str(tag) if consumer is None else consumer.tag
            lost.setdefault(queue, []).append((holder, entry))
        self.unsettled = {}
        for queue, held in lost.items():
            held.sort(key=_holder)
            queue.give_back([entry for _, entry in held], lost=True)

    # --- publishing -------------------------------------------------------------------------

    def publish(  # noqa: PLR0917 - as `Message`
        self,
        body: bytes,
        exchange: str,
        key: str,
        properties: Basic.Properties,
        headers: dict[str, Any],
        mandatory: bool,  # noqa: FBT001
    ) -> Confirm:
        """Route a message, put it into its queues and confirm it."""
        session = self.session
        if self.server.is_alarmed:
            session.block()
        if (exchange, key) not in session.may_publish:
            self._check_publish(exchange, key)
        user = properties.user_id
        if user is not None and user != session.user:
            text = f"user_id property set to '{user}' but authenticated user was"
            raise ChannelRefusal(PRECONDITION_FAILED, f"{text} '{session.user}'")
        message = Message(body, exchange, key, headers, properties.expiration, properties)
        if headers and ("CC" in headers or "BCC" in headers):
            message.copies_to = _copies_to(headers)
            headers.pop("BCC", None)
        return self.server.publish(message, mandatory=mandatory)

    def _check_publish(self, exchange: str, key: str) -> None:
        user, rights = self.session.user, self.server.rights
        rights.check(user, WRITE, "exchange", exchange)
        if exchange:
            self.server.exchange(exchange)
            rights.check_topic(user, WRITE, exchange, key)
        self.session.may_publish[exchange, key] = True

    # --- consuming --------------------------------------------------------------------------

    def qos(self, prefetch: int) -> None:
        """Set the prefetch of the consumers that come."""
        self.prefetch = prefetch

    def consume(self, queue_name: str, tag: str, *, no_ack: bool) -> None:
        """Start to deliver."""
        queue = self._readable(queue_name)
        consumer = Consumer(queue, self, tag, self.prefetch, no_ack=no_ack)
        self.consumers[tag] = consumer
        queue.add(consumer)

    def cancel(self, tag: str) -> None:
        """Deliver nothing more to a consumer; what it holds stays with it."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.remove(consumer)

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Send a message to the client."""
        queue = consumer.queue
        self.tag += 1
        if not consumer.no_ack:
            self.unsettled[self.tag] = (queue, consumer, entry)
        headers = dict(entry.message.headers)
        if entry.returns and queue.is_quorum:
            headers["x-delivery-count"] = entry.returns
        self.session.client.delivered(
            self.number, consumer.tag, Delivery(entry, queue.name, self.tag, headers)
        )

    def get(self, queue_name: str, *, no_ack: bool) -> Delivery | None:
        """Take one message; None: none is ready."""
        queue = self._readable(queue_name)
        entry = queue.take()
        if entry is None:
            return None
        self.tag += 1
        if not no_ack:
            self.unsettled[self.tag] = (queue, None, entry)
        headers = dict(entry.message.headers)
        if queue.is_quorum:
            headers["x-delivery-count"] = entry.returns
        return Delivery(entry, queue.name, self.tag, headers, queue.count)

    def _readable(self, queue_name: str) -> Queue:
        self.server.rights.check(self.session.user, READ, "queue", queue_name)
        return self.server.queue(queue_name, self.session)

    # --- settling ---------------------------------------------------------------------------

    def ack(self, tag: int) -> None:
        """Forget what a client is done with."""
        queue, consumer, _ = self._settled(tag)
        if consumer is not None:
            queue.settled(consumer)

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Give a message back to its queue, or dead-letter it."""
        queue, consumer, entry = self._settled(tag)
        if requeue:
            if consumer is not None:
                consumer.in_hand -= 1
            queue.give_back([entry], lost=False, by=consumer)
        else:
            self.server.bury(queue, entry, "rejected")
            if consumer is not None:
                queue.settled(consumer)

    def _settled(self, tag: int) -> tuple[Queue, Consumer | None, Entry]:
        found = self.unsettled.pop(tag, None)
        if found is None:
            raise ChannelRefusal(PRECONDITION_FAILED, f"unknown delivery tag {tag}")
        return found


def _holder(held: tuple[str, Entry]) -> str:
    return held[0]


def _copies_to(headers: dict[str, Any]) -> tuple[str, ...]:
    keys: list[str] = []
    for name in _COPIES:
        listed = headers.get(name, [])
        if not isinstance(listed, list):
            text = f'invalid message: {{unacceptable_type_in_header,"{name}"}}'
            raise ChannelRefusal(PRECONDITION_FAILED, text)
        keys += [each for each in listed if isinstance(each, str)]
    return tuple(keys)
