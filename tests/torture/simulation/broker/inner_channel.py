"""What aio-pika and our publisher use of aiormq's channel.

Rules, as aiormq keeps them:
- A call (but for publishing and settling) that is given up closes the channel: its reply could be
  taken for that of the next one.
- A refusal of the broker closes the channel, and everything that waits on it gets the error.
- Settling a message says nothing of what the broker thinks of it. If its connection is lost
  meanwhile, it may wait for ever, for a place in a queue that nobody empties; here it does.
- Consumers are called in tasks that are cancelled when the channel goes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from aiormq.channel import exception_by_code
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelClosed,
    ChannelInvalidStateError,
    ConnectionFrameError,
)
from pamqp import commands as spec

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.channels import Channel
from tests.torture.simulation.broker.declares import Declares
from tests.torture.simulation.broker.incoming import IncomingMessage
from tests.torture.simulation.broker.publishes import Publishes
from tests.torture.simulation.broker.refusals import (
    ChannelRefusal,
    FrameRefusal,
    NotKnown,
    NotSimulated,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.torture.simulation.broker import library
    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.messages import Delivery

    Receive = Callable[[Any], Awaitable[Any]]


class InnerChannel(Declares, Publishes):
    """A channel of the client.

    Args:
        connection: the connection.
        outer: the library's channel on it.
    """

    def __init__(self, connection: Connection, outer: library.Channel) -> None:
        self.number = next(connection.numbers)
        self.channel = self
        self.is_closed = False
        self.on_return_callbacks: set[Any] = set()
        self.on_consumer_cancel_callbacks = Callbacks(None)
        self._connection = connection
        self._outer = outer
        self._on_channel = partial(connection.session.on_channel, self.number)
        self._consumers: dict[str, tuple[Receive, bool]] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._in_flight: dict[str, None] = {}
        self._published = 0
        self._tags = 0

    async def open(self) -> None:
        """Open it at the broker."""
        self._connection.channels[self.number] = self
        await self._rpc("open_channel", partial(self._connection.session.open_channel, self.number))

    async def close(self, _exc: object = None) -> None:
        """Close it. Idempotent."""
        if not self.is_closed:
            await self._rpc("close_channel", partial(self._on_channel, Channel.close))
            self.end(ChannelInvalidStateError("closed"))

    def end(self, fault: BaseException) -> None:
        """Close this side, because the broker's is gone or not to be used. Idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        del self._connection.channels[self.number]
        self._connection.interrupt(fault, self)
        for task in self._tasks:
            task.cancel()
        self._outer.on_close.call_soon(fault)

    # --- consuming --------------------------------------------------------------------------

    async def basic_qos(
        self, *, prefetch_count: int = 0, prefetch_size: int = 0, global_: bool = False, **_: Any
    ) -> None:
        """Set the prefetch of each consumer to come."""
        if prefetch_size or global_:
            raise NotSimulated("prefetch_size or global_")
        await self._rpc("qos", partial(self._on_channel, Channel.qos, prefetch_count))

    async def consume(
        self,
        queue: str,
        callback: Receive,
        *,
        no_ack: bool,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> str:
        """Start to consume."""
        self._tags += 1
        tag = f"ctag{self.number}.{self._tags}"
        self._consumers[tag] = (callback, no_ack)
        consume = partial(self._on_channel, Channel.consume, queue, tag, no_ack=no_ack)
        async with asyncio.timeout(timeout):
            await self._rpc(f"consume.{queue}", consume)
        return tag

    async def basic_cancel(
        self,
        consumer_tag: str,
        *,
        nowait: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> None:
        """End a consumer."""
        del nowait
        async with asyncio.timeout(timeout):
            await self._rpc("cancel", partial(self._on_channel, Channel.cancel, consumer_tag))
        self._consumers.pop(consumer_tag, None)

    async def get(self, queue: str, *, no_ack: bool) -> IncomingMessage | None:
        """Take one message."""
        take = partial(self._on_channel, Channel.get, queue, no_ack=no_ack)
        delivery = await self._rpc(f"get.{queue}", take)
        if delivery is None:
            return None
        return IncomingMessage(self, delivery, None, no_ack=no_ack)

    def deliver(self, consumer_tag: str, delivery: Delivery) -> None:
        """Call a consumer in a task of its own."""
        callback, no_ack = self._consumers.get(consumer_tag, (None, False))
        if callback is None:
            return
        message = IncomingMessage(self, delivery, consumer_tag, no_ack=no_ack)
        receiving: Any = callback(message)
        task = asyncio.get_running_loop().create_task(receiving)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def consumer_cancelled(self, consumer_tag: str) -> None:
        """Tell that the broker ended a consumer."""
        if self._consumers.pop(consumer_tag, None) is not None:
            self.on_consumer_cancel_callbacks.call_soon(None)

    async def ack(self, queue: str, tag: int) -> None:
        """Be done with a message."""
        await self._settle(f"ack.{queue}", partial(self._on_channel, Channel.ack, tag))

    async def reject(self, queue: str, tag: int, *, requeue: bool) -> None:
        """Give a message back, or have it dead-lettered."""
        reject = partial(self._on_channel, Channel.reject, tag, requeue=requeue)
        await self._settle(f"reject.{queue}", reject)

    async def _settle(self, name: str, settle: Callable[[], None]) -> None:
        try:
            await self._call(name, settle)
        except ChannelClosed:
            return  # it was written; that it was wrong is said by the channel's end alone
        except AMQPConnectionError:
            await asyncio.get_running_loop().create_future()

    # --- carrying ---------------------------------------------------------------------------

    async def _rpc(self, name: str, apply: Callable[[], Any]) -> Any:
        try:
            return await self._call(name, apply)
        except asyncio.CancelledError:
            if not self.is_closed:
                close = partial(self._on_channel, Channel.close)
                self.end(ChannelInvalidStateError("closed by a call that was given up"))
                self._connection.send("close_channel", close)
            raise

    async def _call(self, name: str, apply: Callable[[], Any]) -> Any:
        if self.is_closed:
            raise ChannelInvalidStateError(f"channel {self.number} closed")
        try:
            return await self._connection.call(name, apply, self)
        except ChannelRefusal as refusal:
            error = exception_by_code(spec.Channel.Close(refusal.code, refusal.text))
            self.end(error)
            raise error from None
        except FrameRefusal as refusal:
            fault = ConnectionFrameError(str(refusal))
            self._connection.end(fault)
            raise fault from None
        except NotKnown:
            if self._connection.session.is_gone:
                raise self._connection.lose() from None
            self.end(ChannelInvalidStateError("closed by the broker"))
            raise ChannelInvalidStateError(f"channel {self.number} closed") from None
