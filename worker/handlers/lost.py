"""Handles `sms.lost`: commands that the broker itself took out of a lane.

Rules:
- A message reaches this queue by the delivery limit or by an `expiration` its publisher set.
- Its record is looked up first. If there is one, another delivery or the sweeper ends the message.
  Only two kinds end here: a message without a record, and the copy that a record waits for. Their
  event is published first, then the body goes to `sms.dead`. The copy is recognised by its seal
  (`copies`).
- Lane and reason are those of its newest death in a lane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from contracts.names import Queue
from worker.domain.messages.message import State
from worker.handlers.copies import proved
from worker.handlers.deaths import Death, newest_death
from worker.handlers.decode import LANE_OF_QUEUE

if TYPE_CHECKING:
    from worker.handlers.settle import Settler
    from worker.ports.broker import Incoming, Settlement

_NOT_TOLD: Final = Death(Queue.BULK, "unknown reason")


@dataclass(frozen=True, slots=True)
class LostHandler:
    """Handles deliveries from `sms.lost`."""

    settler: Settler

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one lost command and return its settlement."""
        decoder = self.settler.decoder
        incoming = proved((decoder.key, *decoder.other_keys), incoming)
        death = newest_death(incoming.headers, LANE_OF_QUEUE) or _NOT_TOLD
        state = State.EXPIRED if death.reason == "expired" else State.FAILED
        reason = f"taken out of {death.queue} by the broker: {death.reason}"
        return await self.settler.conclude(replace(incoming, queue=death.queue), state, reason)
