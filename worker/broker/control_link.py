"""One connection of an asker: publishes questions, takes replies, hears announcements.

Rules: each kind of work has a channel of its own, and so has each command, because a refusal closes
the channel on which it happens, with everything else under way there. Queues have a new name each
time, because the broker may still hold the old name for a dead connection. A login that may not
hear announcements still asks.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

import aio_pika
from aiormq.exceptions import ChannelAccessRefused

from contracts.codec import encode
from contracts.control import ControlCommand
from contracts.metrics import AlertMetric, BreakerMetric
from contracts.names import Exchange, Key
from worker.broker.connection import close, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from contracts.control import ControlQuery

    Receive = Callable[[AbstractIncomingMessage], Awaitable[None]]
    Hear = Callable[[str], None]

ANNOUNCEMENTS: Final = (
    (Exchange.STATE, str(Key.STATE)),
    (Exchange.METRICS, str(AlertMetric.model_fields["event"].default)),
    (Exchange.METRICS, str(BreakerMetric.model_fields["event"].default)),
)
"""Exchange and routing key of what an asker may hear."""
_CONNECT_WITHIN_S: Final = 5.0


class ControlLink:
    """An open connection with the channels of one asker."""

    def __init__(self, connection: AbstractConnection, user: str, ident: str) -> None:
        self._connection = connection
        self._user = user
        self._ident = ident
        self._queries: AbstractChannel | None = None
        self._replies: AbstractChannel | None = None
        self._hearing: AbstractChannel | None = None
        self._hear: Hear | None = None
        self._may_hear = True

    @classmethod
    async def open(cls, url: str, name: str, *, user: str, ident: str, receive: Receive) -> Self:
        """Connect and take replies.

        Args:
            url: address of the broker with the login.
            name: shown in the broker's management views.
            user: name of the login.
            ident: of the asker; replies have it in their key.
            receive: called with each reply.

        Raises:
            Exception: it cannot be opened; see `connection.BROKEN`. Nothing is left open.
        """
        link = cls(await connect(url, name, timeout_s=_CONNECT_WITHIN_S), user, ident)
        try:
            await link._take_replies(receive)
        except BaseException:
            await link.close()
            raise
        return link

    @staticmethod
    def new_id() -> str:
        """An id of an asker, which nobody else has."""
        return uuid4().hex

    @property
    def is_open(self) -> bool:
        """Whether questions can be asked and replies come."""
        replies = self._replies
        return replies is not None and not (replies.is_closed or self._connection.is_closed)

    async def publish(self, asked: ControlCommand | ControlQuery, within_s: float) -> None:
        """Publish a command or a query once.

        Args:
            asked: the message.
            within_s: how long its answer is waited for.

        Raises:
            PublishError: no queue takes it.
            ChannelAccessRefused: this login may not publish it.
            Exception: the connection is lost; see `connection.BROKEN`.
        """
        message = self._message(asked, within_s)
        if not isinstance(asked, ControlCommand):
            await _put(await self._for_queries(), message, f"control.query.{asked.name}")
            return
        channel = await self._connection.channel(on_return_raises=True)
        try:
            await _put(channel, message, f"control.command.{asked.name}")
        finally:
            if not channel.is_closed:
                await channel.close()

    async def listen(self, hear: Hear | None) -> None:
        """Hear announcements from now on; None: no more. Cheap if nothing changes."""
        self._hear = hear
        is_hearing = self._hearing is not None and not self._hearing.is_closed
        if hear is None and self._hearing is not None:
            channel, self._hearing = self._hearing, None
            await channel.close()
        elif hear is not None and not is_hearing and self._may_hear:
            await self._take_announcements()

    async def close(self) -> None:
        """Close the connection, dead or alive."""
        await close(self._connection)

    async def _for_queries(self) -> AbstractChannel:
        """The channel that all queries share; a new one after a refusal."""
        if self._queries is None or self._queries.is_closed:
            self._queries = await self._connection.channel(on_return_raises=True)
        return self._queries

    def _message(self, asked: ControlCommand | ControlQuery, within_s: float) -> aio_pika.Message:
        is_command = isinstance(asked, ControlCommand)
        return aio_pika.Message(
            encode(asked),
            message_id=asked.command_id,
            correlation_id=self._ident,
            user_id=self._user,
            type=f"{asked.name}.v1",
            content_type="application/json",
            timestamp=datetime.now(UTC),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            # A query expires when nobody waits for its answer; a command is always carried out.
            expiration=None if is_command else within_s,
        )

    async def _take_replies(self, receive: Receive) -> None:
        self._replies = await self._connection.channel()
        name = f"sms.reply.{self._user}.{uuid4()}"
        queue = await self._replies.declare_queue(name, exclusive=True, auto_delete=True)
        await queue.bind(Exchange.REPLIES, f"reply.{self._user}.{self._ident}")
        await queue.consume(receive, no_ack=True)

    async def _take_announcements(self) -> None:
        self._hearing = await self._connection.channel()
        name = f"sms.own.{self._user}.{uuid4()}"
        try:
            queue = await self._hearing.declare_queue(name, exclusive=True, auto_delete=True)
            for exchange, key in ANNOUNCEMENTS:
                await queue.bind(exchange, key)
            await queue.consume(self._take_announcement, no_ack=True)
        except ChannelAccessRefused:
            self._may_hear = False

    async def _take_announcement(self, message: AbstractIncomingMessage) -> None:
        if self._hear is not None:
            self._hear(message.routing_key or "")


async def _put(channel: AbstractChannel, message: aio_pika.Message, key: str) -> None:
    exchange = await channel.get_exchange(Exchange.CONTROL, ensure=False)
    await exchange.publish(message, key, mandatory=True)
