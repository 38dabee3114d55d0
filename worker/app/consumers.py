"""Connects each queue with its handler. Only this file puts wrappers around handlers.

Rules: the outermost wrapper stands first in its list. What fails on a lane or on the report queue
goes to the retry tiers. A queue that the broker itself fills has no retry tiers, so there the
broker delivers again what fails. A control queue takes one delivery at a time and has its own
connection.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from contracts.names import Queue
from worker.broker.consumer import Consumer
from worker.control.authenticate import bounded
from worker.domain.alerts.alert_codes import AlertCode
from worker.handlers.decode import LANE_OF_QUEUE
from worker.handlers.lost import LostHandler
from worker.handlers.middleware import bounded_errors, logged, traced
from worker.handlers.unrouted import UnroutedHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.app.runtime import Runtime
    from worker.broker.connection import BrokerConnection
    from worker.domain.messages.message import Lane
    from worker.handlers.delivery_reports import ReportHandler
    from worker.handlers.middleware import GiveUp
    from worker.handlers.send import SendHandler
    from worker.ports.broker import Handler

    Wrapper = Callable[[Handler], Handler]

REPORT_PREFETCH: Final = 64
CONTROL_GRACE_S: Final = 3.0


def wrap(handler: Handler, wrappers: Sequence[Wrapper]) -> Handler:
    """Put wrappers around a handler; the first one is the outermost."""
    for wrapper in reversed(wrappers):
        handler = wrapper(handler)
    return handler


def lane_consumers(runtime: Runtime, send: SendHandler) -> dict[Lane, Consumer]:
    """Build one consumer for each lane."""
    return {
        lane: _retried(runtime, queue, runtime.cfg.prefetch[lane], send, send.settler.give_up)
        for queue, lane in LANE_OF_QUEUE.items()
    }


def report_consumer(runtime: Runtime, handler: ReportHandler) -> Consumer:
    """Build the consumer of delivery reports."""
    return _retried(runtime, Queue.REPORTS, REPORT_PREFETCH, handler, handler.give_up)


def lost_consumer(runtime: Runtime, send: SendHandler) -> Consumer:
    """Build the consumer of messages that the broker itself took out of a lane."""
    return _repeated_by_broker(runtime, Queue.LOST, LostHandler(send.settler))


def unrouted_consumer(runtime: Runtime, send: SendHandler) -> Consumer:
    """Build the consumer of commands with a routing key that no lane is bound to."""
    return _repeated_by_broker(runtime, Queue.UNROUTED_COMMANDS, UnroutedHandler(send.settler))


def _retried(
    runtime: Runtime, queue: Queue, prefetch: int, handler: Handler, give_up: GiveUp
) -> Consumer:
    """Build a consumer whose failed deliveries go to the retry tiers before they are given up."""
    bounded_by_tiers = partial(
        bounded_errors, give_up=give_up, publisher=runtime.publisher, clock=runtime.clock
    )
    wrappers: list[Wrapper] = [logged, bounded_by_tiers]
    if runtime.tracing.records:
        wrappers.insert(0, partial(traced, tracer=runtime.tracing))
    return _consumer(runtime, queue, prefetch, wrap(handler, wrappers))


def _repeated_by_broker(runtime: Runtime, queue: Queue, handler: Handler) -> Consumer:
    """Build a consumer without retry tiers: the broker repeats what fails, up to its limit."""
    wrappers: list[Wrapper] = [partial(traced, tracer=runtime.tracing), logged]
    return _consumer(runtime, queue, REPORT_PREFETCH, wrap(handler, wrappers))


def _consumer(runtime: Runtime, queue: Queue, prefetch: int, handler: Handler) -> Consumer:
    return Consumer(
        runtime.consuming,
        runtime.background,
        queue,
        prefetch=prefetch,
        handler=runtime.deliveries.counted(handler, queue),
        grace_s=runtime.cfg.drain_grace_s,
    )


def control_consumer(
    runtime: Runtime, connection: BrokerConnection, queue: Queue, handler: Handler
) -> Consumer:
    """Build the consumer of a control queue: what keeps failing is given up with an alert."""

    def gave_up(text: str) -> None:
        runtime.alerts.event(AlertCode.CONTROL_FAILED, text)

    return Consumer(
        connection,
        runtime.background,
        queue,
        prefetch=1,
        handler=wrap(handler, [logged, partial(bounded, gave_up=gave_up)]),
        grace_s=CONTROL_GRACE_S,
    )
