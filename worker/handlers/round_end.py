"""Ends a round of a message and writes its result.

Rules:
- A message fails at once if every provider refuses it for a lasting reason (the number, or what the
  message asks for). After other proofs it gets another round, within the budget of the lane.
- While an attempt of the message may have left, the message settles only as `accepted` or
  `unknown`, so that no false end is announced.
- An outcome that comes after another worker took the message over is appended to its attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import Lease, Record, State
from worker.domain.messages.outcome import Accepted, Blame, NotSent
from worker.domain.messages.writes import Finished
from worker.domain.migration.routing import Route
from worker.handlers import message_events
from worker.handlers.round import (
    ProbeImpossible,
    RoundBlocked,
    RoundEnd,
    RoundNotBegun,
    RoundOptedOut,
    RoundSettled,
    RoundTooLate,
    RoundWaits,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.message import Attempt, Lane, Message, StoredEvent
    from worker.domain.migration.phases import Role
    from worker.handlers.choose import NobodyLeft
    from worker.handlers.round import Round
    from worker.ports.clock import Clock
    from worker.ports.messages import Messages
    from worker.ports.providers import Guard

_NOT_CALLED: Final = Finished(
    NotSent(Blame.RECIPIENT, "not called", "intent not acted on in time"), 0.0
)


@dataclass(frozen=True, slots=True)
class RoundEnds:
    """Ends rounds.

    Args:
        messages: the records.
        guards: breaker and limits of each role's provider.
        clock: time.
        budget: by lane, how many rounds count before a message has `failed`.
    """

    messages: Messages
    guards: Mapping[Role, Guard]
    clock: Clock
    budget: Mapping[Lane, int]

    # --- nobody is left to try -----------------------------------------------------------

    async def nobody_left(self, state: Round, why: NobodyLeft) -> RoundEnd | Record:
        """End a round that makes no further attempt."""
        if state.waits is not None:
            return RoundWaits(state.waits.round, state.waits.epoch)
        if isinstance(state.base, Lease) and state.previous is not None:
            return await self._after_attempts(state, state.base, state.previous, why)
        if not isinstance(why, Route):
            return why
        if state.message.probe is not None:
            return RoundBlocked(0.0, lane=False) if why.busy else ProbeImpossible(why.reason)
        later = [self.guards[role] for role in _left_out(state, why)]
        if isinstance(state.base, Record) and state.base.state is State.UNKNOWN and not later:
            reason = "nobody left to resend through"
            return RoundSettled(state.base.state, state.base.events, reason)
        lane = state.message.lane
        due = min((max(g.probe_due_in(), g.busy_for(lane)) for g in later), default=0.0)
        return RoundBlocked(due, lane=not why.candidates)

    async def _after_attempts(
        self, state: Round, lease: Lease, previous: Finished, why: NobodyLeft
    ) -> RoundEnd | Record:
        if state.in_doubt is not None:
            return await self._hold_or_resend_later(state, lease, previous, why)
        counted = not _unfinished(state, why)
        if reason := self._final(state, lease, why, counted=counted):
            return await self.settle_failed(state, lease, previous, reason)
        lane = state.message.lane
        waits = await self.messages.wait(lease, previous, counted=counted, lane=lane)
        if isinstance(waits, Record):
            return await self.lost(lease, previous, waits)
        return RoundWaits(waits, lease.failed_rounds + 1 if counted else lease.epoch)

    async def _hold_or_resend_later(
        self, state: Round, lease: Lease, previous: Finished, why: NobodyLeft
    ) -> RoundEnd | Record:
        """Settle as `unknown`. If a provider is only busy, return the record, which may resend."""
        ended = await self.settle_unknown(state, lease, previous)
        if isinstance(ended, RoundSettled) and _unfinished(state, why):
            return await self.messages.look(lease.message_id) or ended
        return ended

    def _final(self, state: Round, lease: Lease, why: NobodyLeft, *, counted: bool) -> str:
        """Why another round makes no sense; empty: it makes sense."""
        if isinstance(why, RoundTooLate):
            return "its life ended"
        if isinstance(why, RoundOptedOut):
            return "recipient opted out"
        everywhere = isinstance(why, Route) and not _left_out(state, why)
        if state.own_faults_only and everywhere:
            return "no provider takes it"
        last = lease.failed_rounds + 1 >= self._budget(state.message)
        return "every round failed" if counted and last else ""

    def _budget(self, message: Message) -> int:
        """The number of rounds. A probe has one, because a second could hide a failure."""
        return 1 if message.probe is not None else self.budget[message.lane]

    # --- an intent that was not acted on -------------------------------------------------

    async def withdraw(self, state: Round, lease: Lease) -> RoundEnd | Record:
        """End a round whose intent came too late. The round counts for no budget or provider."""
        if state.in_doubt is not None:
            return await self.settle_unknown(state, lease, _NOT_CALLED)
        waits = await self.messages.wait(lease, None, counted=False, lane=state.message.lane)
        return waits if isinstance(waits, Record) else RoundWaits(waits, 0)

    # --- outcomes ------------------------------------------------------------------------

    async def settle_accepted(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> RoundEnd | Record:
        """Settle the message as `accepted`: a provider took it."""
        duplicate = attempt.resend
        event = message_events.sent(
            state.message, attempt, finished, self.clock.now(), possible_duplicate=duplicate
        )
        accepted = RoundSettled(State.ACCEPTED, (event,), attempt.reason)
        return await self._settle(state, lease, finished, accepted)

    async def settle_failed(
        self, state: Round, lease: Lease, finished: Finished, why: str
    ) -> RoundEnd | Record:
        """Settle the message as `failed`, or as `unknown` if an attempt may have left."""
        if state.in_doubt is not None:
            return await self.settle_unknown(state, lease, finished)
        detail = finished.outcome.reason if not isinstance(finished.outcome, Accepted) else ""
        reason = why if detail in why else f"{why}; last: {detail}"
        event = message_events.failed(
            state.message,
            finished.outcome.code,
            reason,
            self.clock.now(),
            attempts=lease.epoch,
            generation=lease.generation,
            provider=lease.provider,
        )
        failed = RoundSettled(State.FAILED, (event,), reason)
        return await self._settle(state, lease, finished, failed)

    async def settle_unknown(
        self, state: Round, lease: Lease, finished: Finished
    ) -> RoundEnd | Record:
        """Settle the message as `unknown`: a provider may have taken it."""
        in_doubt = state.in_doubt
        reason = f"{in_doubt.provider if in_doubt else lease.provider} may have taken it"
        events: tuple[StoredEvent, ...] = ()
        if in_doubt is not None and not state.announced:
            events = (message_events.unknown(state.message, in_doubt, reason, self.clock.now()),)
        held = RoundSettled(State.UNKNOWN, events, reason)
        return await self._settle(state, lease, finished, held)

    async def _settle(
        self, state: Round, lease: Lease, finished: Finished, to: RoundSettled
    ) -> RoundEnd | Record:
        lane = state.message.lane
        stands = await self.messages.settle(lease, to.state, finished, to.events, lane=lane)
        if stands is not None:
            return await self.lost(lease, finished, stands)
        return RoundSettled(to.state, to.events, to.reason, lease.epoch)

    async def lost(
        self, base: Lease | Record | None, finished: Finished | None, stands: Record
    ) -> Record:
        """Append an outcome that came too late, because another worker has the message now."""
        if isinstance(base, Lease) and finished is not None:
            await self.messages.late(base, finished)
        return stands


def _left_out(state: Round, why: Route) -> list[Role]:
    """Roles not called because of their breaker or limits. The next round may call them."""
    return [role for role in (*why.skipped, *why.busy) if role not in state.excluded]


def _unfinished(state: Round, why: NobodyLeft) -> bool:
    """Whether a candidate of this round is left for later. Such a round does not count."""
    if state.message.probe is not None:  # a probe has no other candidate
        return False
    if isinstance(why, Route):
        return any(role not in state.excluded for role in why.busy)
    return isinstance(why, RoundNotBegun)
