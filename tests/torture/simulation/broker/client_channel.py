"""aio-pika's channel, queue and exchange on an inner channel of the simulation.

Rules: everything that the library does itself is the library's own code; only the inner channel
(aiormq's), which speaks to the broker, is ours. A delivery is an object of our own, because the
library's costs more than everything that the broker does for it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aio_pika
from aio_pika.exceptions import QueueEmpty
from aiormq.abc import DeliveredMessage
from aiormq.channel import exception_by_code
from aiormq.exceptions import ChannelInvalidStateError, DeliveryError, PublishError
from pamqp import commands as spec
from pamqp.header import ContentHeader

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.channels import channel_of
from tests.torture.simulation.broker.incoming import IncomingMessage
from tests.torture.simulation.broker.messages import Confirm
from tests.torture.simulation.broker.refusals import ChannelRefusal, NotSimulated, SessionGone
from tests.torture.simulation.broker.settings import declaration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.torture.simulation.broker import channels
    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.messages import Delivery

    Receive = Callable[[IncomingMessage], Awaitable[Any]]


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

    def __init__(self, connection: Connection, *, on_return_raises: bool) -> None:
        super().__init__(connection, on_return_raises=on_return_raises)
        self.on_close = self.close_callbacks = Callbacks(self)
        self.on_close.add(self._closed_now)

    def _closed_now(self, *_: object) -> None:
        if not self._closed.done():
            self._closed.set_result(True)

    async def _open(self) -> None:
        inner = InnerChannel(self._connection, self)
        await inner.open()
        self._channel = inner
        await self._on_open()


class InnerChannel:
    """What aio-pika and our publisher use of aiormq's channel.

    Args:
        connection: the connection.
        outer: the library's channel on it.
    """

    def __init__(self, connection: Connection, outer: Channel) -> None:
        self._connection = connection
        self._outer = outer
        self.number = connection.next_number()
        self.channel = self
        self.is_closed = False
        self.on_return_callbacks: set[Any] = set()
        self.on_consumer_cancel_callbacks = Callbacks(None)
        self._consumers: dict[str, tuple[Receive, bool]] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._published = 0
        self._tags = 0
        self._fault: BaseException | None = None

    async def open(self) -> None:
        """Open it at the broker."""
        session = self._connection.session
        self._connection.channels[self.number] = self
        await self._rpc("open_channel", lambda: session.open_channel(self.number))

    async def close(self, _exc: object = None) -> None:
        """Close it. Idempotent."""
        if not self.is_closed:
            await self._rpc("close_channel", self._at_broker("close"))
            self.end(None)

    def end(self, fault: BaseException | None) -> None:
        """Close this side, as the broker's side is gone or not to be used. Idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        self._fault = fault
        del self._connection.channels[self.number]
        self._connection.interrupt(fault or ChannelInvalidStateError("closed"), self)
        for task in self._tasks:
            task.cancel()
        self._outer.on_close.call_soon(fault)

    # --- publishing -------------------------------------------------------------------------

    async def basic_publish(
        self,
        body: bytes,
        *,
        exchange: str = "",
        routing_key: str = "",
        properties: spec.Basic.Properties | None = None,
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> Any:
        """Publish and wait for the confirm."""
        if immediate:
            raise NotSimulated("immediate")
        properties = properties or spec.Basic.Properties(delivery_mode=1)
        self._published += 1
        tag = self._published
        if not properties.message_id:
            properties.message_id = f"{self.number:08x}{tag:024x}"
        publish = self._at_broker(
            "publish", body, str(exchange), str(routing_key), properties, mandatory=mandatory
        )
        async with asyncio.timeout(timeout):
            confirm = await self._call("publish", publish)
        if confirm is Confirm.TAKEN:
            return spec.Basic.Ack(delivery_tag=tag)
        if confirm is Confirm.REFUSED:
            raise DeliveryError(None, spec.Basic.Nack(delivery_tag=tag))
        return self._returned(body, str(exchange), str(routing_key), properties)

    def _returned(
        self, body: bytes, exchange: str, key: str, properties: spec.Basic.Properties
    ) -> DeliveredMessage:
        frame = spec.Basic.Return(312, "NO_ROUTE", exchange, key)
        header = ContentHeader(body_size=len(body), properties=properties)
        message = DeliveredMessage(delivery=frame, header=header, body=body, channel=self)
        if self._outer.on_return_raises:
            raise PublishError(message, frame)
        return message

    # --- consuming --------------------------------------------------------------------------

    async def basic_qos(
        self, *, prefetch_count: int = 0, prefetch_size: int = 0, global_: bool = False, **_: Any
    ) -> None:
        """Set the prefetch of each consumer to come."""
        if prefetch_size or global_:
            raise NotSimulated("prefetch_size or global_")
        await self._rpc("qos", self._at_broker("qos", prefetch_count))

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
        consume = self._at_broker("consume", queue, tag, no_ack=no_ack)
        async with asyncio.timeout(timeout):
            await self._rpc("consume", consume)
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
            await self._rpc("cancel", self._at_broker("cancel", consumer_tag))
        self._consumers.pop(consumer_tag, None)

    async def get(self, queue: str, *, no_ack: bool) -> IncomingMessage | None:
        """Take one message."""
        delivery = await self._rpc("get", self._at_broker("get", queue, no_ack=no_ack))
        if delivery is None:
            return None
        return IncomingMessage(self, delivery, None, no_ack=no_ack)

    def deliver(self, consumer_tag: str, delivery: Delivery) -> None:
        """Call a consumer in a task of its own, which is cancelled when the channel goes."""
        callback, no_ack = self._consumers.get(consumer_tag, (None, False))
        if callback is None:
            return
        message = IncomingMessage(self, delivery, consumer_tag, no_ack=no_ack)
        task = asyncio.get_running_loop().create_task(callback(message))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def consumer_cancelled(self, consumer_tag: str) -> None:
        """Tell that the broker ended a consumer."""
        if self._consumers.pop(consumer_tag, None) is not None:
            self.on_consumer_cancel_callbacks.call_soon(None)

    async def settle(self, how: str, tag: int, **options: bool) -> None:
        """Acknowledge, reject or give back; a refusal of the broker is not told to the caller."""
        settle = self._at_broker("ack" if how == "ack" else "reject", tag, **options)
        try:
            await self._call(how, settle)
        except ChannelInvalidStateError:
            raise
        except Exception:
            if not self.is_closed:
                raise

    # --- declaring --------------------------------------------------------------------------

    async def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> spec.Queue.DeclareOk:
        """Declare a queue, or look whether it is there."""
        wanted = declaration(
            durable=durable, exclusive=exclusive, auto_delete=auto_delete, arguments=arguments
        )
        session = self._connection.session
        server = session.server

        def declare() -> tuple[int, int]:
            channel_of(session, self.number)
            if passive:
                found = server.queue(queue, session)
            else:
                found = server.declare_queue(queue, wanted, session)
            return found.count, len(found.consumers)

        async with asyncio.timeout(timeout):
            messages, consumers = await self._rpc("declare_queue", declare)
        return spec.Queue.DeclareOk(queue, messages, consumers)

    async def queue_bind(self, queue: str, exchange: str, routing_key: str = "", **_: Any) -> None:
        """Bind a queue."""
        session = self._connection.session
        bind = partial(session.server.bind, str(queue), str(exchange), str(routing_key), session)
        await self._rpc("bind", bind)

    async def exchange_declare(
        self, exchange: str, *, exchange_type: str = "topic", passive: bool = False, **_: Any
    ) -> None:
        """Declare a topic exchange, or look whether it is there."""
        if exchange_type != "topic" and not passive:
            raise NotSimulated(f"exchange type {exchange_type}")
        server = self._connection.session.server
        declare = server.exchange if passive else server.declare_exchange
        await self._rpc("declare_exchange", partial(declare, str(exchange)))

    async def queue_purge(self, queue: str = "", **_: Any) -> spec.Queue.PurgeOk:
        """Empty a queue."""
        session = self._connection.session
        count = await self._rpc("purge", lambda: session.server.queue(queue, session).purge())
        return spec.Queue.PurgeOk(count)

    async def queue_delete(self, queue: str = "", **_: Any) -> spec.Queue.DeleteOk:
        """Delete a queue."""
        session = self._connection.session
        server = session.server
        count = await self._rpc("delete", lambda: server.delete_queue(server.queue(queue, session)))
        return spec.Queue.DeleteOk(count)

    # --- carrying ---------------------------------------------------------------------------

    def _at_broker(self, method: str, *args: Any, **options: Any) -> Callable[[], Any]:
        """Return what the broker's side of this channel does."""
        session = self._connection.session

        def apply() -> Any:
            channel: channels.Channel = channel_of(session, self.number)
            return getattr(channel, method)(*args, **options)

        return apply

    async def _rpc(self, name: str, apply: Callable[[], Any]) -> Any:
        """Call; the channel does not survive a call that is given up."""
        try:
            return await self._call(name, apply)
        except asyncio.CancelledError:
            if not self.is_closed:
                self._connection.send("close_channel", self._at_broker("close"))
                self.end(ChannelInvalidStateError("closed by a call that was given up"))
            raise

    async def _call(self, name: str, apply: Callable[[], Any]) -> Any:
        if self.is_closed:
            raise ChannelInvalidStateError(f"channel {self.number} closed") from self._fault
        try:
            return await self._connection.call(name, apply, self)
        except ChannelRefusal as refusal:
            error = exception_by_code(spec.Channel.Close(refusal.code, refusal.text))
            self.end(error)
            raise error from None
        except SessionGone:
            if self._connection.session.is_gone:
                self._connection.lose()
            raise ChannelInvalidStateError(f"channel {self.number} closed") from self._fault
