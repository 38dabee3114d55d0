"""Handles commands the broker could not route, because no queue is bound to their key.

Rules: such a command is refused whatever its content, and the reason names the key. It goes to
`sms.dead`, where `dead replay` can give it a lane. If its id is new, an event `sms.rejected` is
published. That event is stored in a record, so that a redelivery announces the same event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts import problems
from contracts.names import COMMAND_BINDINGS
from worker.handlers.decode import Refusal

if TYPE_CHECKING:
    from worker.handlers.settle import Settler
    from worker.ports.broker import Incoming, Settlement

_EXPECTED: Final = " or ".join(key for keys in COMMAND_BINDINGS.values() for key in keys)


@dataclass(frozen=True, slots=True)
class UnroutedHandler:
    """Handles deliveries from `sms.unrouted.commands`."""

    settler: Settler

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one command and return its settlement."""
        key = problems.key(incoming.routing_key) or "(empty)"
        wrong = problems.problem("routing key", _EXPECTED, key)
        reason = f"no such key: {key}"
        understood = self.settler.decoder.decode(incoming, self.settler.clock.now())
        if isinstance(understood, Refusal):
            refusal = Refusal(reason, (wrong, *understood.problems), understood.message_id)
            return await self.settler.refuse(incoming, refusal)
        refusal = Refusal(reason, (wrong,), understood.id)
        return await self.settler.refuse(incoming, refusal, understood)
