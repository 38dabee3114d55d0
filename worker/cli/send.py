"""`sms-worker send`: publish one message and watch its events.

Rules: it uses only the wire contract, like any upstream service: a login that may write
`sms.commands` and read `sms.events`, and its own queue. It uses no part of the worker.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import typer

from contracts.codec import DecodeError, encode
from contracts.commands import SendSms, decode_send
from contracts.events import decode_event
from contracts.names import Exchange, Key
from worker.broker.connection import connect
from worker.cli.addresses import amqp_url
from worker.cli.ctl.views import plain
from worker.domain.messages.message import Lane

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractQueue

    from contracts.events import DeliveryEvent

ENDS: Final = frozenset({"sms.failed", "sms.expired", "sms.rejected", "sms.delivered"})
"""Events after which `send` waits for no more."""
_ABOUT: Final = {"event_id", "event", "message_id", "occurred_at", "lane", "message_type"}
"""Fields that are the same in every event of a message, or are shown already."""
_KEYS: Final = {Lane.TRANSACTIONAL: Key.SEND_TRANSACTIONAL, Lane.BULK: Key.SEND_BULK}


def send(
    to: Annotated[str, typer.Argument(help="Recipient, as people write it.")],
    text: Annotated[str, typer.Argument(help="Text of the message.")],
    lane: Annotated[Lane, typer.Option(help="Queue to publish to.")] = Lane.TRANSACTIONAL,
    message_id: Annotated[str, typer.Option("--id", help="Idempotency key; default: new.")] = "",
    user: Annotated[
        str | None, typer.Option(help="userId of the message; overrides use it.")
    ] = None,
    branch: Annotated[
        int | None, typer.Option(help="branchId of the message; overrides use it.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for events.")] = 30.0,
) -> None:
    """Publish one SMS and print its events until it is delivered or given up.

    Exit code 0: a provider took it; 1: it was not sent, or no event came in time; 2: the message
    is not valid.
    """
    ident = message_id or str(uuid4())
    command = _command(messageId=ident, to=to, text=text, userId=user, branchId=branch)
    if not asyncio.run(_send(command, lane, wait)):
        raise typer.Exit(1)


def _command(**fields: str | int | None) -> SendSms:
    """Return the command as a worker reads it. Raises `BadParameter` with the wrong fields."""
    try:
        return decode_send(json.dumps(fields).encode(), message_id=None, type_=None)
    except DecodeError as error:
        raise typer.BadParameter("; ".join(error.problems or (error.reason,))) from None


async def _send(command: SendSms, lane: Lane, wait: float) -> bool:
    url = amqp_url("upstream")
    async with await connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        queue = await _own_queue(channel, urlsplit(url).username or "upstream")
        message = aio_pika.Message(
            encode(command),
            message_id=command.message_id,
            type="SendSms.v1",
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = await channel.get_exchange(Exchange.COMMANDS, ensure=False)
        await exchange.publish(message, _KEYS[lane], mandatory=True)
        typer.echo(f"published {command.message_id}")
        return await _watch(queue, command.message_id, wait)


async def _own_queue(channel: AbstractChannel, user: str) -> AbstractQueue:
    name = f"sms.own.{user}.send-{uuid4()}"
    queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
    await queue.bind(Exchange.EVENTS, "sms.*")
    return queue


async def _watch(queue: AbstractQueue, message_id: str, wait: float) -> bool:
    """Print the events of one message; return whether a provider took it."""
    taken = False
    try:
        async with asyncio.timeout(wait), queue.iterator(no_ack=True) as deliveries:
            async for delivery in deliveries:
                event = decode_event(delivery.body)
                if event.message_id != message_id:
                    continue
                _print(event)
                taken = taken or event.event in ("sms.sent", "sms.delivered")
                if event.event in ENDS:
                    return taken
    except TimeoutError:
        typer.echo("no further event in time" if taken else "no event in time", err=not taken)
    return taken


def _print(event: DeliveryEvent) -> None:
    shown = event.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_ABOUT)
    rest = ", ".join(f"{name}={plain(value)}" for name, value in shown.items())
    typer.echo(f"{event.occurred_at:%H:%M:%S} {event.event:<15} {rest}".rstrip())
