"""One queue: what is ready, who consumes, what expires. Classic queues are in `classic`.

Rules, as RabbitMQ 3.10 keeps them (`rabbit_fifo`):
- A message that expired leaves at the head only. Its time is fixed when it arrives.
- What came back is delivered before everything else, in the order in which it came back. But
  without a delivery limit, what a client gives back by itself goes behind everything.
- It is counted how often a message comes back; more often than the limit, and it is dead.
- Consumers take turns. One that has its prefetch in hand waits until it settles something, and then
  stands behind the others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from tests.torture.simulation.broker.messages import Confirm, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.torture.simulation.broker.consumers import Consumer
    from tests.torture.simulation.broker.messages import Message
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.broker.settings import Declaration, QueueSettings


class Queue:
    """A quorum queue.

    Args:
        server: the broker it is part of.
        name: its name.
        declaration: how it was declared.
        settings: what holds for it.
    """

    is_quorum = True
    __slots__ = (
        "alarm_ms",
        "consumers",
        "declaration",
        "expires",
        "is_full",
        "line",
        "name",
        "owner",
        "position",
        "ready",
        "returned",
        "server",
        "settings",
        "withheld",
    )

    def __init__(
        self, server: Server, name: str, declaration: Declaration, settings: QueueSettings
    ) -> None:
        self.server = server
        self.name = name
        self.declaration = declaration
        self.settings = settings
        self.is_full = False
        """Whether it refuses what is published to it, as a fault."""
        self.owner: Any = None
        """The session that alone may use it."""
        self.ready: deque[Entry] = deque()
        self.returned: deque[Entry] = deque()
        self.withheld = 0
        """Dead letters that no queue takes now."""
        self.consumers: list[Consumer] = []
        self.line: deque[Consumer] = deque()
        self.position = 0
        self.expires = False
        """Whether a message in it has ever had a time to expire."""
        self.alarm_ms: float | None = None
        """When the server looks for expired messages next."""

    @property
    def count(self) -> int:
        """Messages that are ready."""
        return len(self.returned) + len(self.ready)

    # --- in ---------------------------------------------------------------------------------

    def put(self, message: Message) -> Confirm:
        """Take a message, and deliver it if somebody waits for it."""
        if self.is_full:
            return Confirm.REFUSED
        settings = self.settings
        self.position += 1
        expires_ms = None
        if settings.ttl_ms is not None or message.expiration is not None:
            expires_ms = self._expires_ms(message.expiration)
            self.expires = True
        self.ready.append(Entry(message, self.position, expires_ms))
        if self.line:
            self.deliver()
        if self.expires:
            self._set_alarm()
        if settings.max_length is not None:
            self._drop_excess(settings.max_length)
        return Confirm.TAKEN

    def give_back(
        self, entries: Iterable[Entry], *, lost: bool, by: Consumer | None = None
    ) -> None:
        """Take back messages that were not settled.

        Args:
            entries: in the order in which they come back.
            lost: whether their channel is gone; else a client gives them back.
            by: the consumer that had them.
        """
        for entry in entries:
            entry.returns += 1
            self._put_back(entry, lost=lost)
        if by is not None:
            self._line_up(by)
        self.deliver()
        if self.settings.max_length is not None:
            self._drop_excess(self.settings.max_length)
        if self.expires:
            self._set_alarm()

    def _put_back(self, entry: Entry, *, lost: bool) -> None:
        limit = self.settings.delivery_limit
        if limit is not None and entry.returns > limit:
            self.server.bury(self, entry, "delivery_limit")
        elif limit is None and not lost:
            self.ready.append(entry)
        else:
            self.returned.append(entry)

    def _drop_excess(self, most: int) -> None:
        dropped: list[Entry] = []
        while self.count and self.count + self.withheld > most:
            dropped.append(self._pop())
        for entry in reversed(dropped):  # the real one buries what it drops at once in this order
            self.server.bury(self, entry, "maxlen")

    # --- out --------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Deliver what is ready to the consumers in line."""
        line = self.line
        while line and (entry := self.take()) is not None:
            consumer = line.popleft()
            consumer.in_hand += 1
            if consumer.may_take:
                line.append(consumer)
            else:
                consumer.waits = False
            consumer.channel.deliver(consumer, entry)

    def take(self) -> Entry | None:
        """Take the next message off the queue; buries those that expired before it."""
        if self.expires:
            self._bury_expired()
        return self._pop() if self.returned or self.ready else None

    def _pop(self) -> Entry:
        entry = (self.returned or self.ready).popleft()
        if self.expires:
            self._set_alarm()
        return entry

    def purge(self) -> int:
        """Remove all messages that are ready; returns how many there were."""
        count = self.count
        self.returned.clear()
        self.ready.clear()
        return count

    def keep_what_lasts(self) -> None:
        """Lose what a restart loses: nothing."""

    def end(self) -> int:
        """Be deleted: cancel the consumers; returns how many messages were ready."""
        consumers, self.consumers = self.consumers, []
        self.line.clear()
        for consumer in consumers:
            consumer.is_on = False
            channel = consumer.channel
            del channel.consumers[consumer.tag]
            channel.session.client.consumer_cancelled(channel.number, consumer.tag)
        return self.purge()

    # --- consumers --------------------------------------------------------------------------

    def add(self, consumer: Consumer) -> None:
        """Let a consumer take messages from now on."""
        self.consumers.append(consumer)
        self._line_up(consumer)
        self.deliver()

    def settled(self, consumer: Consumer) -> None:
        """Let a consumer take one more after it settled a message."""
        consumer.in_hand -= 1
        if not consumer.waits:
            self._line_up(consumer)
            self.deliver()

    def remove(self, consumer: Consumer) -> None:
        """Deliver nothing more to a consumer; what it has in hand stays there."""
        self.consumers.remove(consumer)
        consumer.is_on = False
        if consumer.waits:
            self.line.remove(consumer)
        if self.declaration.auto_delete and not self.consumers:
            self.server.delete_queue(self)

    def _line_up(self, consumer: Consumer) -> None:
        """Let a consumer wait for its turn, if it may take something."""
        if consumer.is_on and not consumer.waits and consumer.may_take:
            consumer.waits = True
            self.line.append(consumer)

    # --- time -------------------------------------------------------------------------------

    def expire(self) -> None:
        """Bury what is at the head and expired; called at `alarm_ms`."""
        self.alarm_ms = None
        self._bury_expired()
        self._set_alarm()

    def _bury_expired(self) -> None:
        while self.returned or self.ready:
            expires_ms = (self.returned or self.ready)[0].expires_ms
            if expires_ms is None or expires_ms > self.server.now_ms():
                return
            self.server.bury(self, self._pop(), "expired")

    def _expires_ms(self, expiration: str | None) -> float:
        lives = (self.settings.ttl_ms, None if expiration is None else int(expiration))
        return self.server.now_ms() + max(min(each for each in lives if each is not None), 1)

    def _set_alarm(self) -> None:
        """Have `expire` called when the head expires, if it does."""
        if self.returned or self.ready:
            at_ms = (self.returned or self.ready)[0].expires_ms
            if at_ms is not None and (self.alarm_ms is None or at_ms < self.alarm_ms):
                self.alarm_ms = at_ms
                self.server.remind(at_ms, self.expire)
