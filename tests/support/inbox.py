"""One login on the broker with one queue: takes everything, and publishes on the same connection.

Rules: deliveries are acknowledged after they are noted, so a broker that restarts loses none; a
repeated event has its id and is counted, not noted twice. The queue is durable for the same reason.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Self

import aio_pika

from contracts.names import Exchange, Header

if TYPE_CHECKING:
    from collections.abc import Collection

    from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

_PREFETCH = 500


class Inbox:
    """Everything that comes to a queue, by message id.

    Args:
        url: of the login.
        queue: `sms.own.*`: declared and bound; else a queue that is there.
        exchange: what it is bound to.
        key: by which key.
    """

    def __init__(
        self, url: str, queue: str, exchange: str = Exchange.EVENTS, key: str = "#"
    ) -> None:
        self._url = url
        self._queue = queue
        self._source = exchange, key
        self._connection: AbstractRobustConnection | None = None
        self._by_message: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.deliveries: Counter[str] = Counter()
        """By event id."""
        self.arrived: dict[str, float] = {}
        """Monotonic time of the first delivery, by event id."""
        self.all: list[dict[str, Any]] = []
        self.traces: dict[str, str] = {}
        """`traceparent` by event id."""
        self.changed: list[dict[str, Any]] = []
        """Copies of an event that are not equal to the first one."""
        self._first: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect_robust(self._url, reconnect_interval=0.5)
        self._consuming = await self._connection.channel()
        self._publishing = await self._connection.channel(on_return_raises=True)
        await self._consuming.set_qos(prefetch_count=_PREFETCH)
        if self._queue.startswith("sms.own."):
            queue = await self._consuming.declare_queue(self._queue, durable=True)
            await queue.bind(*self._source)
        else:
            queue = await self._consuming.get_queue(self._queue, ensure=False)
        await queue.consume(self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _take(self, delivery: AbstractIncomingMessage) -> None:
        noted = self._read(delivery)
        ident = noted.get("eventId")
        if ident is not None:
            self.deliveries[ident] += 1
            self.arrived.setdefault(ident, time.monotonic())
        if ident is None or self.deliveries[ident] == 1:
            self.all.append(noted)
            self._by_message[noted.get("messageId", "")].append(noted)
        if ident is not None and self._first.setdefault(ident, noted) != noted:
            self.changed.append(noted)
        await delivery.ack()

    def _read(self, delivery: AbstractIncomingMessage) -> dict[str, Any]:
        if self._queue.startswith("sms.own."):
            event: dict[str, Any] = json.loads(delivery.body)
            if trace := delivery.headers.get(Header.TRACEPARENT):
                self.traces[event["eventId"]] = str(trace)
            return event
        headers = {"reason": Header.REASON, "source": Header.SOURCE, "attempts": Header.ATTEMPTS}
        said = {name: delivery.headers.get(header) for name, header in headers.items()}
        name = delivery.message_id or _id_in(delivery.body)
        return {"messageId": name, "body": delivery.body, **said}

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        message_id: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish a persistent message; returns when the broker confirmed.

        The library would make an id of its own where none is given, and the command would have two.
        """
        target = await self._publishing.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(
            body,
            message_id=message_id,
            content_type="application/json",
            headers=dict(headers or {}),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await target.publish(message, key, mandatory=True)

    async def remove(self) -> None:
        """Delete its own queue, where others use the broker afterwards; nothing comes any more.

        By another connection: a robust one would declare the queue again.
        """
        assert self._connection is not None
        await self._connection.close()
        async with await aio_pika.connect(self._url) as connection:
            await (await connection.channel()).queue_delete(self._queue)

    async def ready(self, queue: str) -> int:
        """Messages in a queue that nobody has in hand.

        Asked below the robust channel, which answers a second question from its memory.
        """
        channel = await self._publishing.get_underlay_channel()
        found = await channel.queue_declare(queue, passive=True)
        return found.message_count or 0

    def forget(self, message_ids: Collection[str]) -> None:
        """Drop everything about these, in runs that would else fill the memory."""
        for ident in message_ids:
            for noted in self._by_message.pop(ident, ()):
                event_id = noted.get("eventId", "")
                for kept in (self.deliveries, self.arrived, self.traces, self._first):
                    kept.pop(event_id, None)
        self.all = [noted for noted in self.all if noted.get("messageId") not in message_ids]

    def of(self, message_id: str) -> list[dict[str, Any]]:
        """What came of a message, each fact once."""
        return self._by_message.get(message_id, [])

    def names(self, message_id: str) -> list[str]:
        """Names of the events of a message in the order they came."""
        return [event["event"] for event in self.of(message_id)]

    def first(self, message_id: str, event: str) -> dict[str, Any] | None:
        """The first event of that name of a message."""
        return next((each for each in self.of(message_id) if each["event"] == event), None)


def _id_in(body: bytes) -> str:
    """Message id of a body, for tests alone; empty where there is none."""
    try:
        return str(json.loads(body).get("messageId", ""))
    except (ValueError, AttributeError):
        return ""
