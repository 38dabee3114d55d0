"""What the broker could route to nobody: commands with a key no queue is bound to.

Rules: nobody processes them, whatever they say; the reason names the key. They go to `sms.dead`,
where `dead replay` can give them a lane, with an event `sms.rejected` where their id is new. The
record that event is stored in makes a redelivery announce the same event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts import problems
from contracts.names import COMMAND_BINDINGS
from worker.handlers.understand import Refusal

if TYPE_CHECKING:
    from worker.handlers.send import SendHandler
    from worker.ports import Incoming, Settlement

_EXPECTED: Final = " or ".join(key for keys in COMMAND_BINDINGS.values() for key in keys)


@dataclass(frozen=True, slots=True)
class UnroutedHandler:
    """Handles deliveries from `sms.unrouted.commands`."""

    send: SendHandler

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one command to its settlement."""
        key = problems.key(incoming.routing_key) or "(empty)"
        wrong = problems.problem("routing key", _EXPECTED, key)
        reason = f"no such key: {key}"
        understood = self.send.understanding.of(incoming, self.send.clock.now())
        if isinstance(understood, Refusal):
            refusal = Refusal(reason, (wrong, *understood.problems), understood.message_id)
            return await self.send.refuse(incoming, refusal)
        refusal = Refusal(reason, (wrong,), understood.id)
        return await self.send.refuse(incoming, refusal, understood)
