"""Chooses the provider of a message's next attempt.

    decide provisionally -> wait at that provider's limiter -> decide again

Rules:
- The snapshot in force and the breakers decide, before the wait and again after it. If something
  changed during the wait (state, breaker, life, opt-out), the choice starts again.
- A message that waits for one provider never holds a permit of the other. Waits are short: a
  provider with a long queue is busy and is passed over. That is no failure of the provider.
- There is no wait at all while the proof that the last attempt did not leave is only in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.migration.routing import Route, decide
from worker.handlers.round import NotAtOnce, RoundNotBegun, RoundOptedOut, RoundTooLate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.messages.consent import Senders
    from worker.domain.messages.message import Message
    from worker.domain.migration.phases import Role
    from worker.domain.migration.snapshot import Snapshot
    from worker.handlers.round import Round
    from worker.ports.clock import Clock
    from worker.ports.consent import Suppressions
    from worker.ports.metrics import Meter
    from worker.ports.providers import Guard, Permit
    from worker.ports.steering import Snapshots

NobodyLeft = Route | RoundTooLate | RoundOptedOut | RoundNotBegun
"""Why this round makes no further attempt. A `Route` means: no candidate can be called now."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A candidate whose permit we hold and whose breaker let us through."""

    role: Role
    permit: Permit
    snapshot: Snapshot
    decision: Route


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses the candidate of an attempt and takes a permit of its limiter.

    Args:
        guards: breaker and limits of each role's provider.
        snapshots: flags and state in force.
        suppressions: recipients who opted out.
        meter: counts providers that were passed over.
        clock: time.
        draining: whether the process is draining and begins nothing new.
        senders: the sender ids that messages are sent under.
    """

    guards: Mapping[Role, Guard]
    snapshots: Snapshots
    suppressions: Suppressions
    meter: Meter
    clock: Clock
    draining: Callable[[], bool]
    senders: Senders

    async def reserve(self, state: Round) -> Reservation | NobodyLeft | NotAtOnce:
        """Take a permit of the best candidate, and decide again after the wait for it."""
        waited_for: set[Role] = set()
        while True:
            if state.proof_unwritten and not self.snapshots.is_fresh():
                return NotAtOnce()
            snapshot = await self.snapshots.fresh()
            if (over := self._over(state)) is not None:
                return over
            decision = self._decide(state.message, snapshot, waited_for)
            role = next((r for r in decision.candidates if r not in state.excluded), None)
            self._count_skipped(state, decision, role)
            if role is None:
                return decision
            permit = await self._permit(role, state)
            if isinstance(permit, NotAtOnce):
                return permit
            if permit is None:
                waited_for.add(role)
            elif self._still(snapshot, state) and permit.admit():
                return Reservation(role, permit, snapshot, decision)
            else:
                permit.release()

    async def _permit(self, role: Role, state: Round) -> Permit | NotAtOnce | None:
        """Get a permit of a provider; None: none was free in time."""
        guard, lane = self.guards[role], state.message.lane
        permit = guard.permit_now(lane)
        if permit is not None:
            return permit
        return NotAtOnce() if state.proof_unwritten else await guard.permit(lane)

    def about_now(self, snapshot: Snapshot) -> bool:
        """Whether a call decided under this snapshot is evidence about the state now in force."""
        current = self.snapshots.current
        return current is not None and current.anew == snapshot.anew

    def _over(self, state: Round) -> RoundTooLate | RoundOptedOut | RoundNotBegun | None:
        if self.clock.now() >= state.message.expires_at:
            return RoundTooLate()
        if self.unwanted(state.message):
            return RoundOptedOut()
        resends = (
            state.began and state.in_doubt is not None
        )  # an attempt that may have left is resent even in a drain
        if self.draining() and not resends:
            return RoundNotBegun()
        return None

    def unwanted(self, message: Message) -> bool:
        """Whether the recipient wants no messages of this sender."""
        senders = self.senders.of_message(message.sender_id)
        hashes = message.recipient.hashes
        return any(self.suppressions.stops(each, senders) for each in hashes)

    def _still(self, snapshot: Snapshot, state: Round) -> bool:
        """Whether the decision made before the wait still holds."""
        unchanged = self.snapshots.current is snapshot and self.snapshots.is_fresh()
        return unchanged and self._over(state) is None

    def _decide(self, message: Message, snapshot: Snapshot, waited_for: set[Role]) -> Route:
        guards, lane = self.guards.items(), message.lane
        return decide(
            message.to,
            message.user_id,
            message.branch_id,
            snapshot,
            frozenset(role for role, guard in guards if not guard.passable()),
            busy=frozenset(r for r, g in guards if r in waited_for or g.busy_for(lane)),
            probe=message.probe,
        )

    def _count_skipped(self, state: Round, decision: Route, chosen: Role | None) -> None:
        """Count providers that were passed over, each once a round.

        A fallback that was not reached does not count as passed over. A count is eligible as
        evidence if the percentage hash assigned the message to the provider passed over.
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
                lane=state.message.lane,
                probe=state.message.probe is not None,
            )
