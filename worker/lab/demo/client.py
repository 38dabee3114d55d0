"""The outside clients of the broker: a publishing service, a dashboard, an administrator.

Rules: they only use the documented contract. Names are spelled out, nothing of the worker or of
`contracts` is imported, and each client has its own login and its own queue.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import uuid4

import aio_pika

from worker.broker.connection import connect
from worker.lab.demo.facts import SENT, SETTLES, UNKNOWN, Change, Published, Told
from worker.lab.demo.waiting import FactMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from worker.lab.demo.messages import Planned


_CONFIRM_WITHIN_S: Final = 15.0
_ANSWER_WITHIN_S: Final = 20.0
_RESEND_AFTER_S: Final = 2.0


class _Login(ABC):
    """A connection with its own queue, bound to one exchange."""

    def __init__(
        self, url: str, user: str, exchange: str, key: str = "#", kind: str = "own"
    ) -> None:
        self._url = url
        self._user = user
        self._exchange = exchange
        self._key = key
        self._kind = kind
        self._connection: AbstractConnection | None = None
        self.channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url)
        self.channel = await self._connection.channel(on_return_raises=True)
        name = f"sms.{self._kind}.{self._user}.demo-{uuid4()}"
        queue = await self.channel.declare_queue(name, exclusive=True, auto_delete=True)
        await queue.bind(self._exchange, self._key)
        await queue.consume(self._receive, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _receive(self, delivery: AbstractIncomingMessage) -> None:
        self.took(json.loads(delivery.body), time.monotonic())

    @abstractmethod
    def took(self, event: dict[str, Any], at: float) -> None:
        """Note an event."""


class Upstream(_Login):
    """A service that publishes `SendSms` and follows its messages.

    Args:
        url: address with its login.
        prefix: prefix of its message ids. Events of other services are ignored.
    """

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(url, "upstream", "sms.events")
        self._prefix = prefix
        self.published: dict[str, Published] = {}
        self.told: list[Told] = []
        self.unsettled: set[str] = set()
        """Ids of published messages without an event that settles them."""
        self.sent_by: dict[str, int] = {}
        """Number of sent messages, by provider."""
        self.resent = 0
        self.held: set[str] = set()
        """Ids of messages announced as unknown."""

    async def publish(self, planned: Planned, *, broken: bool = False) -> None:
        """Publish a command and wait for the broker's confirm."""
        assert self.channel is not None  # noqa: S101 - entered
        exchange = await self.channel.get_exchange("sms.commands", ensure=False)
        body = planned.broken_body() if broken else planned.body()
        message = aio_pika.Message(
            body,
            message_id=planned.id,
            type="SendSms.v1",
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        now = time.monotonic()
        self.published[planned.id] = Published(planned.id, planned.lane, planned.to, now)
        self.unsettled.add(planned.id)
        await exchange.publish(message, planned.key, mandatory=True, timeout=_CONFIRM_WITHIN_S)

    def took(self, event: dict[str, Any], at: float) -> None:
        """Note an event of one of our messages."""
        told = Told(
            id=event["messageId"],
            event=event["event"],
            at=at,
            provider=event.get("provider"),
            possible_duplicate=event.get("possibleDuplicate", False),
            reason=event.get("reason") or "",
            event_id=event["eventId"],
        )
        if not told.id.startswith(self._prefix):
            return
        self.told.append(told)
        if told.event in SETTLES:
            self.unsettled.discard(told.id)
        if told.event == SENT and told.provider:
            self.sent_by[told.provider] = self.sent_by.get(told.provider, 0) + 1
            self.resent += told.possible_duplicate
        if told.event == UNKNOWN:
            self.held.add(told.id)


class Dashboard(_Login):
    """Follows metric events.

    Args:
        url: address with its login.
        told: called with each change of a breaker.
    """

    def __init__(self, url: str, told: Callable[[Change], None]) -> None:
        super().__init__(url, "dashboard", "sms.metrics")
        self._told = told
        self.changes: list[Change] = []

    def took(self, event: dict[str, Any], at: float) -> None:
        """Note a change of a breaker."""
        if event["event"] != "metric.breaker":
            return
        change = Change(event["provider"], event["replica"], event["to"], at, event["reason"])
        self.changes.append(change)
        self._told(change)


class Administrator(_Login):
    """Sends control commands and queries.

    Args:
        url: address with its login.
    """

    def __init__(self, url: str) -> None:
        self._session = uuid4().hex
        user = "administrator"
        super().__init__(url, user, "sms.replies", f"reply.{user}.{self._session}", "reply")
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def command(self, name: str, reason: str, **fields: Any) -> dict[str, Any]:
        """Send a command; returns the reply, accepted or refused. Raises `FactMissing`."""
        issued = datetime.now(UTC).isoformat()
        body = {"name": name, "issuedAt": issued, "reason": reason, **fields}
        return await self._ask(f"control.command.{name}", body)

    async def query(self, name: str) -> dict[str, Any]:
        """Send a query; returns the reply. Raises `FactMissing`."""
        return await self._ask(f"control.query.{name}", {"name": name})

    async def _ask(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Publish, and repeat without an answer in time. The id lets it act only once."""
        ident = str(uuid4())
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[ident] = reply
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while not reply.done():
            if time.monotonic() > deadline:
                raise FactMissing(f"not within {_ANSWER_WITHIN_S:g} s: an answer to {key}")
            await self._publish(key, {**body, "commandId": ident})
            await asyncio.wait({reply}, timeout=_RESEND_AFTER_S)
        return reply.result()

    async def _publish(self, key: str, body: dict[str, Any]) -> None:
        assert self.channel is not None  # noqa: S101 - entered
        exchange = await self.channel.get_exchange("sms.control", ensure=False)
        message = aio_pika.Message(
            json.dumps(body).encode(),
            message_id=body["commandId"],
            correlation_id=self._session,
            user_id=self._user,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, key, mandatory=True, timeout=_CONFIRM_WITHIN_S)

    def took(self, event: dict[str, Any], at: float) -> None:  # noqa: ARG002 - of the base
        """Pass a reply to the caller that waits for it."""
        waiting = self._replies.pop(event["commandId"], None)
        if waiting is not None and not waiting.done():
            waiting.set_result(event)


async def dead_letters(url: str, prefix: str) -> dict[str, str]:
    """Read the dead letters in `sms.dead`: reason by message id. All of them stay there.

    Args:
        url: address with a login that may read the queue: the worker's.
        prefix: prefix of the wanted message ids.
    """
    reasons: dict[str, str] = {}
    async with await connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("sms.dead", ensure=False)
        # Nothing is acknowledged, so the broker puts all letters back when the connection closes.
        while (letter := await queue.get(fail=False)) is not None:
            if (letter.message_id or "").startswith(prefix):
                reasons[letter.message_id or ""] = str(letter.headers.get("sms-reason", ""))
    return reasons
