"""Wrappers that every handler gets, composed in `worker.app.consumers`.

Rules: a wrapper is short, takes a handler and returns a handler, and does not depend on other
wrappers. If our own code raises, the message is neither lost nor retried for ever: it passes the
retry tiers a bounded number of times and is then given up with its reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from contracts.commands import valid_id
from contracts.names import Header
from worker.handlers.decode import carried, first_seen, text_header, traceparent_of
from worker.handlers.retry_tiers import TIERS, tier_after
from worker.ports.broker import Handler, Incoming, Settlement

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from worker.ports.broker import Publisher
    from worker.ports.clock import Clock

GiveUp = Callable[[Incoming, str], Awaitable[Settlement]]
_log = structlog.get_logger(__name__)


def bounded_errors(
    handler: Handler, *, give_up: GiveUp, publisher: Publisher, clock: Clock
) -> Handler:
    """Retry a delivery whose handler raised through the tiers; then give it up with the reason."""

    async def handle(incoming: Incoming) -> Settlement:
        try:
            return await handler(incoming)
        except Exception as error:  # noqa: BLE001 - the outermost wrapper loses no message
            errors = carried(incoming, Header.ERRORS) + 1
            _log.exception("handler failed", queue=incoming.queue, errors=errors)
            if errors > len(TIERS):
                return await give_up(incoming, f"our own error: {type(error).__name__}")
            headers: dict[str, object] = {
                Header.ERRORS: errors,
                Header.FIRST_AT: first_seen(incoming, clock.now()).isoformat(),
            }
            await publisher.park(incoming, tier_after(errors), headers)
            return Settlement.ACK

    return handle


class Tracer(Protocol):
    """Opens spans around deliveries; costs almost nothing without sampling."""

    def process(
        self, incoming: str | None, queue: str, message_id: str, *, delayed: bool = False
    ) -> AbstractContextManager[str | None]:
        """Open a span for one delivery; yields the `traceparent` for the calls it causes."""
        ...


def traced(handler: Handler, tracer: Tracer) -> Handler:
    """Continue the caller's trace. A delivery from a retry tier is linked to it instead."""

    async def handle(incoming: Incoming) -> Settlement:
        caller = text_header(incoming, Header.TRACEPARENT)
        delayed = Header.FIRST_AT in incoming.headers
        with tracer.process(
            caller, incoming.queue, incoming.message_id or "", delayed=delayed
        ) as traceparent:
            if traceparent != caller:
                headers = {**incoming.headers, Header.TRACEPARENT: traceparent}
                incoming = replace(incoming, headers=headers)
            return await handler(incoming)

    return handle


def logged(handler: Handler) -> Handler:
    """Bind what identifies the delivery to every log line written on its behalf.

    The message id is checked first, because publishers have put texts and numbers there.
    """

    async def handle(incoming: Incoming) -> Settlement:
        # Each delivery runs in its own task and so in its own context: nothing to unbind.
        trace = traceparent_of(incoming)
        structlog.contextvars.bind_contextvars(
            message_id=valid_id(incoming.message_id),
            queue=incoming.queue,
            **({"trace_id": trace[3:35]} if trace else {}),
        )
        return await handler(incoming)

    return handle
