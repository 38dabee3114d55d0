"""`sms.lost`: what the broker itself took out of a lane.

Rules: a message reaches this queue by the delivery limit or by an `expiration` its publisher set.
It is looked up before anything is said of it: what has a record is in other hands, and only what
nobody ever saw is ended here, with an event, before its body goes to `sms.dead`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contracts.names import Queue
from worker.domain.message import State

if TYPE_CHECKING:
    from worker.handlers.send import SendHandler
    from worker.ports import Incoming, Settlement


@dataclass(frozen=True, slots=True)
class LostHandler:
    """Handles deliveries from `sms.lost`."""

    send: SendHandler

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one lost command to its settlement."""
        queue, why = _origin(incoming)
        state = State.EXPIRED if why == "expired" else State.FAILED
        reason = f"taken out of {queue} by the broker: {why}"
        return await self.send.conclude(replace(incoming, queue=queue), state, reason)


def _origin(incoming: Incoming) -> tuple[str, str]:
    """Lane and reason as the broker recorded them."""
    queue = incoming.headers.get("x-first-death-queue")
    why = incoming.headers.get("x-first-death-reason")
    known = queue if queue in (Queue.TRANSACTIONAL, Queue.BULK) else Queue.BULK
    return str(known), str(why or "unknown reason")
