"""What wraps every handler, composed in `worker.app.consumers`.

Rules: a wrapper is short, takes a handler and gives a handler, and knows nothing of its neighbours.
An exception of ours never loses a message and never loops: it goes round the retry tiers a bounded
number of times and is then given up with its reason.
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
    """Retry our own exceptions through the tiers; after the last one, give up with the reason."""

    async def handle(incoming: Incoming) -> Settlement:
        try:
            return await handler(incoming)
        except Exception as error:  # noqa: BLE001 - the outermost wrapper: nothing is lost
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
    """Spans around deliveries; costs next to nothing where nobody samples."""

    def process(
        self, incoming: str | None, queue: str, message_id: str, *, delayed: bool = False
    ) -> AbstractContextManager[str | None]:
        """Span the processing of one delivery; yields the `traceparent` to go on with."""
        ...


def traced(handler: Handler, tracer: Tracer) -> Handler:
    """Continue the caller's trace; a delivery from a retry tier is linked, not continued."""

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

    Only a message id that is one: publishers have put texts and numbers into that property.
    """

    async def handle(incoming: Incoming) -> Settlement:
        # Each delivery runs in a task, so in a context, of its own: nothing to unbind.
        trace = traceparent_of(incoming)
        structlog.contextvars.bind_contextvars(
            message_id=valid_id(incoming.message_id),
            queue=incoming.queue,
            **({"trace_id": trace[3:35]} if trace else {}),
        )
        return await handler(incoming)

    return handle
