"""A client of the control topic: sends commands and queries, and receives replies.

Rules: it uses only the wire contract and the asker's own broker login. It needs neither the store
nor a worker on this machine. Replies come to its own queue, bound to its own key, so nobody else
can read them. If no reply comes within 2 s, it sends the same command id again, over a new
connection if the old one died. The worker carries out a command once, however often it comes.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import (
    AuthenticationError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused
from pydantic import ValidationError

from contracts.codec import encode
from contracts.control import ControlCommand, ControlReply
from contracts.names import Exchange
from worker.broker.connection import BROKEN, close, connect, naming_losses, reraise_own_cancel

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from contracts.control import ControlQuery

RESEND_AFTER_S: Final = 2.0
_CONNECT_WITHIN_S: Final = 5.0
_PAUSE_S: Final = 0.2
_REFUSED: Final = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused)


class NoAnswer(Exception):  # noqa: N818 - a fact about the other side, not a failure of ours
    """No worker answered in time; it is not known whether the command was carried out."""


class NotAllowed(Exception):  # noqa: N818 - the broker's refusal
    """The broker refuses the login, or refuses to let it publish."""


class ControlClient:
    """Asks over one connection, which it opens when needed. An async context manager.

    Args:
        url: address of the broker with the asker's own login.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.user = unquote(urlsplit(url).username or "guest")
        """Name of the login; the broker vouches for it."""
        self._session = uuid4().hex
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._waiting: dict[str, asyncio.Future[ControlReply]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disconnect()

    async def ask(self, asked: ControlCommand | ControlQuery, within_s: float) -> ControlReply:
        """Publish and wait for the reply; repeat with the same id until it comes.

        Raises:
            NoAnswer: no reply came within `within_s` seconds; the text says why.
            NotAllowed: the broker refuses the login or the message.
        """
        answer: asyncio.Future[ControlReply] = asyncio.get_running_loop().create_future()
        self._waiting[asked.command_id] = answer
        self._hindrance = "no worker answered"
        try:
            async with asyncio.timeout(within_s):
                while not answer.done():
                    published = await self._publish(asked, within_s)
                    await asyncio.wait({answer}, timeout=RESEND_AFTER_S if published else _PAUSE_S)
            return answer.result()
        except TimeoutError:
            raise NoAnswer(f"no answer within {within_s:g} s: {self._hindrance}") from None
        finally:
            del self._waiting[asked.command_id]

    async def _publish(self, asked: ControlCommand | ControlQuery, within_s: float) -> bool:
        """Publish once; return whether the broker took it. If not, `ask` tries again."""
        try:
            with naming_losses():
                channel = await self._connected()
                exchange = await channel.get_exchange(Exchange.CONTROL, ensure=False)
                message = self._message(asked, within_s)
                await exchange.publish(message, _key(asked), mandatory=True)
        except _REFUSED as error:
            await self._disconnect()
            raise NotAllowed(f"the broker refuses user {self.user}: {_plain(error)}") from None
        except PublishError:
            self._hindrance = "no queue takes it: no worker has ever run on this broker"
        except BROKEN as error:
            reraise_own_cancel()
            self._hindrance = f"the broker: {_plain(error)}"
            await self._disconnect()
        else:
            self._hindrance = "no worker answered"
            return True
        return False

    def _message(self, asked: ControlCommand | ControlQuery, within_s: float) -> aio_pika.Message:
        is_command = isinstance(asked, ControlCommand)
        return aio_pika.Message(
            encode(asked),
            message_id=asked.command_id,
            correlation_id=self._session,
            user_id=self.user,
            type=f"{asked.name}.v1",
            content_type="application/json",
            timestamp=datetime.now(UTC),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            # A query expires when nobody waits for its answer; a command is always carried out.
            expiration=None if is_command else within_s,
        )

    async def _connected(self) -> AbstractChannel:
        if self._channel is not None and not self._channel.is_closed:
            return self._channel
        await self._disconnect()
        self._connection = await connect(self._url, "sms-worker ctl", timeout_s=_CONNECT_WITHIN_S)
        self._channel = await self._connection.channel(on_return_raises=True)
        # A new name each time: the broker may still hold the old one for a dead connection.
        name = f"sms.reply.{self.user}.{uuid4()}"
        queue = await self._channel.declare_queue(name, exclusive=True, auto_delete=True)
        await queue.bind(Exchange.REPLIES, f"reply.{self.user}.{self._session}")
        await queue.consume(self._receive, no_ack=True)
        return self._channel

    async def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await close(connection)

    async def _receive(self, delivery: AbstractIncomingMessage) -> None:
        try:
            reply = ControlReply.model_validate_json(delivery.body)
        except ValidationError:
            return  # a reply of an unknown version; the one we wait for may still come
        waiting = self._waiting.get(reply.command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)


def _key(asked: ControlCommand | ControlQuery) -> str:
    kind = "command" if isinstance(asked, ControlCommand) else "query"
    return f"control.{kind}.{asked.name}"


def _plain(error: BaseException) -> str:
    """Return the error in one line, without any address, because it may hold a password."""
    text = str(error).splitlines()
    return text[0] if text and "://" not in text[0] else type(error).__name__
