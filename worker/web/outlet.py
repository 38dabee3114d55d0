"""Publishes delivery reports to the broker, each with a confirm.

Rules: each report is tried once. Without a confirm it raises, and the webhook lets the provider
repeat the callback. While the broker blocks us nothing is tried, because such a report would arrive
in addition to the repeat. The broker user `webhook` may only write to `sms.reports`, so nothing is
declared here and no other exchange is used. An unroutable report is a failure and never lost
silently.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Final

from aio_pika import DeliveryMode, Message

from contracts.codec import encode
from contracts.names import Exchange, Header

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractExchange

    from contracts.reports import RawReport
    from worker.broker.connection import BrokerConnection

CONFIRM_TIMEOUT_S: Final = 10.0


class ReportOutlet:
    """The webhook's `Outlet` on a connection to the broker.

    Args:
        connection: a connection as user `webhook`; its owner starts and stops it.
    """

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._opening = asyncio.Lock()

    async def report(self, report: RawReport, traceparent: str | None = None) -> None:
        """Publish one report, in the trace of `traceparent` if there is one.

        Raises:
            ConnectionRefusedError: the broker takes nothing now (memory or disk alarm).
            TimeoutError: there was no connection or no confirm within `CONFIRM_TIMEOUT_S`.
            AMQPError: the broker refused it, or no queue is bound to its key.
        """
        if self._connection.is_blocked:
            raise ConnectionRefusedError("blocked by the broker")
        message = Message(
            encode(report),
            message_id=uuid.uuid4().hex,
            type="RawReport.v1",
            content_type="application/json",
            timestamp=report.received_at,
            delivery_mode=DeliveryMode.PERSISTENT,
            headers={Header.TRACEPARENT: traceparent} if traceparent else None,
        )
        async with asyncio.timeout(CONFIRM_TIMEOUT_S):
            exchange = await self._open()
            await exchange.publish(message, f"report.{report.provider}", mandatory=True)

    async def _open(self) -> AbstractExchange:
        async with self._opening:
            if self._channel is None or self._exchange is None or self._channel.is_closed:
                self._channel = await self._connection.channel()
                self._exchange = await self._channel.get_exchange(Exchange.REPORTS, ensure=False)
            return self._exchange
