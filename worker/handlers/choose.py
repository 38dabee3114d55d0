"""Whom the next attempt of a message goes to.

    decide provisionally -> wait at that provider's limiter -> decide again

Rules: decided by the snapshot in force and the breakers at the moment, before the wait and after
it: what changed meanwhile (state, breaker, life, opt-out) sends the choice back to the start. A
waiter for one provider never holds the other's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.routing import Decision, decide
from worker.handlers.round import NotBegun, OptedOut, TooLate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.flags import Snapshot
    from worker.domain.message import Message
    from worker.domain.phases import Role
    from worker.handlers.round import Round
    from worker.ports import Clock, Guard, Meter, Slot, Snapshots, Suppressions


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate whose slot we hold and whose breaker let us through."""

    role: Role
    slot: Slot
    snapshot: Snapshot
    decision: Decision


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses the candidate of an attempt and holds a place at its limiter.

    Args:
        guards: breaker and limits of each role's provider.
        snapshots: what is in force.
        suppressions: who opted out.
        meter: counts who was passed over.
        clock: time.
        draining: whether nothing new may begin.
    """

    guards: Mapping[Role, Guard]
    snapshots: Snapshots
    suppressions: Suppressions
    meter: Meter
    clock: Clock
    draining: Callable[[], bool]

    async def pick(self, state: Round) -> Pick | Decision | TooLate | OptedOut | NotBegun:
        """Hold a slot of the best candidate, decided again after the wait; a Decision: nobody."""
        message = state.message
        while True:
            snapshot = await self.snapshots.fresh()
            if (over := self._over(state)) is not None:
                return over
            decision = self._decide(message, snapshot)
            role = next((r for r in decision.candidates if r not in state.excluded), None)
            self._count_skipped(state, decision, role)
            if role is None:
                return decision
            slot = await self.guards[role].slot(message.lane)
            if self._still(snapshot, state) and slot.admit():
                return Pick(role, slot, snapshot, decision)
            slot.release()

    def _over(self, state: Round) -> TooLate | OptedOut | NotBegun | None:
        if self.clock.now() >= state.message.expires_at:
            return TooLate()
        if state.message.recipient.hash in self.suppressions:
            return OptedOut()
        if self.draining() and not state.began:
            return NotBegun()
        return None

    def _still(self, snapshot: Snapshot, state: Round) -> bool:
        """Whether the decision made before the wait still holds."""
        unchanged = self.snapshots.current is snapshot and self.snapshots.is_fresh()
        return unchanged and self._over(state) is None

    def _decide(self, message: Message, snapshot: Snapshot) -> Decision:
        blocked = frozenset(r for r, guard in self.guards.items() if not guard.passable())
        return decide(
            message.to, message.user_id, message.branch_id, snapshot, blocked, probe=message.probe
        )

    def _count_skipped(self, state: Round, decision: Decision, chosen: Role | None) -> None:
        """Whom the choice passed over, once a round: a fallback not reached was not passed over.

        Eligible where the hash assigned the very candidate passed over.
        """
        for role in decision.skipped:
            reached = chosen is None or role is decision.preferred
            if not reached or role in state.excluded or role in state.passed_over:
                continue
            state.passed_over.add(role)
            first = decision.assigned and state.epoch == 0
            self.meter.skipped(
                self.guards[role].provider_id,
                eligible=first and role is decision.preferred,
                recipient_hash=state.message.recipient.hash,
                probe=state.message.probe is not None,
            )
