"""Hands delivery reports to the broker, one confirmed publish each.

Rules: tries once; what is not confirmed raises, and the webhook has the provider repeat it. While
the broker blocks us nothing is tried: what is written now would arrive beside the repeat. The
broker user `webhook` may write `sms.reports` and nothing else, so nothing else is touched here:
no declaration, no other exchange. An unroutable report is a failure, never a quiet loss.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Final

from aio_pika import DeliveryMode, Message

from contracts.codec import encode
from contracts.names import Exchange

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

    async def report(self, report: RawReport) -> None:
        """Publish one report.

        Raises:
            ConnectionRefusedError: the broker takes nothing now (memory or disk alarm).
            TimeoutError: no connection, or no confirm, in `CONFIRM_TIMEOUT_S`.
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
