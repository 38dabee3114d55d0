"""aio-pika's channel and queue on an inner channel of the simulation.

Rules: what the library does itself is the library's own code; only the inner channel (aiormq's),
which speaks to the broker, is ours. A delivery is an object of our own, because the library's costs
more than everything that the broker does for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aio_pika
from aio_pika.exceptions import QueueEmpty

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.inner_channel import InnerChannel

if TYPE_CHECKING:
    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.incoming import IncomingMessage
    from tests.torture.simulation.broker.inner_channel import Receive


class Queue(aio_pika.Queue):
    """The library's queue with light deliveries."""

    async def consume(  # type: ignore[override] # what is delivered is no message of the library
        self,
        callback: Receive,
        no_ack: bool = False,  # noqa: FBT001, FBT002 - the library's
        **options: Any,
    ) -> str:
        """Start to consume; returns the consumer's tag."""
        inner: Any = await self.channel.get_underlay_channel()
        return str(await inner.consume(self.name, callback, no_ack=no_ack, **options))

    async def get(  # type: ignore[override] # as above
        self,
        *,
        no_ack: bool = False,
        fail: bool = True,
        timeout: float | None = 5,  # noqa: ASYNC109 - the library's
    ) -> IncomingMessage | None:
        """Take one message."""
        inner: Any = await self.channel.get_underlay_channel()
        async with asyncio.timeout(timeout):
            message: IncomingMessage | None = await inner.get(self.name, no_ack=no_ack)
        if message is None and fail:
            raise QueueEmpty
        return message


class Channel(aio_pika.Channel):
    """The library's channel on our inner one."""

    QUEUE_CLASS = Queue
    _connection: Any

    def __init__(self, connection: Connection, **options: bool) -> None:
        owner: Any = connection
        super().__init__(owner, None, **options)
        self.on_close = self.close_callbacks = Callbacks(self)
        self.on_close.add(self._closed_now)

    def _closed_now(self, *_: object) -> None:
        if not self._closed.done():
            self._closed.set_result(True)

    async def _open(self) -> None:
        if self._connection.transport is not None:
            await self._connection.transport.ready()
        inner: Any = InnerChannel(self._connection, self)
        await inner.open()
        self._channel = inner
        await self._on_open()
