"""Attempt by attempt: one round of a message over the providers that may have it.

    choose (`choose`) -> intent -> POST -> outcome -> next candidate | settled

Rules:
- No POST without its own durable intent: the first is an insert, each further one a
  compare-and-set that raises the epoch. What lost returns the record that stands; the caller
  looks at it anew.
- A candidate follows only upon proof (`NotSent`), or once upon `Unknown` where the message's
  policy allows one resend through what was not tried.
- The last synchronous line before the POST checks lease and life. An intent that was not
  acted on becomes `waiting`, uncounted.
- While an attempt of the message may have left, it never settles as anything but `accepted` or
  `unknown`: no false end is announced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from worker.domain.message import Attempt, Lane, Lease, OnUnknown, Record, Result, State
from worker.domain.outcome import Accepted, Blame, NotSent, Outcome, Refused, Unknown
from worker.domain.routing import Decision
from worker.handlers import announce
from worker.handlers.choose import Pick
from worker.handlers.round import (
    Blocked,
    Ended,
    NotBegun,
    NoWay,
    OptedOut,
    Round,
    Settled,
    TooLate,
    Waits,
)
from worker.ports import Finished, Measured, Sms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.message import Message, StoredEvent
    from worker.domain.outcome import Money
    from worker.domain.phases import Role
    from worker.handlers.choose import Chooser
    from worker.handlers.round import Unsent
    from worker.ports import Clock, Guard, Messages, Meter, Suppressions

_NOT_CALLED = Finished(NotSent(Blame.RECIPIENT, "not called", "intent not acted on in time"), 0.0)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Tries the candidates of a message, in the order of the snapshot in force.

    Args:
        messages: the records.
        chooser: whom an attempt goes to.
        guards: breaker and limits of each role's provider.
        suppressions: takes opt-outs told by a refusal.
        meter: counts attempts.
        clock: time.
        deadline_s: by role, the longest a POST can take; a lease must outlive it.
        budget: counted rounds by lane before `failed`.
        price: cost by tariff where the reply names none.
        unsent: versions of the intents that are being written.
    """

    messages: Messages
    chooser: Chooser
    guards: Mapping[Role, Guard]
    suppressions: Suppressions
    meter: Meter
    clock: Clock
    deadline_s: Mapping[Role, float]
    budget: Mapping[Lane, int]
    price: Callable[[str, str, int], Money | None]
    unsent: Unsent

    async def run(self, message: Message, base: Record | None) -> Ended | Record:
        """One round.

        Args:
            message: as delivered, with lane, policy and life as frozen in its record.
            base: the record it goes on from (`waiting`, or `unknown` for the resend); None: new.

        Returns:
            How the round ended, or the record that stands where ours lost.
        """
        state = self._begin(message, base)
        while True:
            pick = await self.chooser.pick(state)
            if not isinstance(pick, Pick):
                return await self._end(state, pick)
            try:
                step = await self._attempt(state, pick)
            finally:
                pick.slot.release()
            if step is not None:
                return step

    # --- one attempt ---------------------------------------------------------------------

    async def _attempt(self, state: Round, pick: Pick) -> Ended | Record | None:
        """Intent, POST, outcome; None: go on with the next candidate."""
        attempt = self._intent(state, pick)
        with self.unsent.at(attempt.version):
            held = await self._hold(state, attempt)
        if isinstance(held, Record):
            return await self._lost(state.base, state.previous, held)
        state.base, state.previous, state.began = held, None, True
        if not self._may_send(held, state, pick):
            return await self._withdraw(state, held)
        outcome, duration_ms = await pick.slot.send(self._sms(state.message, attempt))
        finished = Finished(outcome, duration_ms, self._cost(attempt.provider, state, outcome))
        self._measure(state, attempt, pick, finished)
        state.excluded.add(pick.role)
        return await self._outcome(state, held, attempt, finished)

    def _intent(self, state: Round, pick: Pick) -> Attempt:
        decision = pick.decision
        preferred = pick.role is decision.preferred
        return Attempt(
            epoch=state.epoch + 1,
            provider=self.guards[pick.role].provider_id,
            version=pick.snapshot.version,
            reason=decision.reason if preferred else f"{decision.reason}; fallback",
            eligible=decision.assigned and state.epoch == 0 and preferred,
            resend=state.resending,
            at=self.clock.now(),
        )

    async def _hold(self, state: Round, attempt: Attempt) -> Lease | Record:
        if state.base is None:
            return await self.messages.claim(state.message, attempt)
        return await self.messages.intend(
            state.base, attempt, state.previous, lane=state.message.lane
        )

    def _may_send(self, lease: Lease, state: Round, pick: Pick) -> bool:
        """The last look before the bytes leave: nothing may await between this and the POST."""
        enough = self.clock.monotonic() + self.deadline_s[pick.role] < lease.until
        return enough and self.clock.now() < state.message.expires_at

    async def _withdraw(self, state: Round, lease: Lease) -> Ended | Record:
        """The intent came too late to act on: proved unsent, and it counts against nobody."""
        if state.suspect is not None:
            return await self._settle_unknown(state, lease, _NOT_CALLED)
        round_ = await self.messages.wait(lease, None, counted=False, lane=state.message.lane)
        return round_ if isinstance(round_, Record) else Waits(round_, 0)

    async def _outcome(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> Ended | Record | None:
        outcome = finished.outcome
        match outcome:
            case Accepted():
                return await self._settle_accepted(state, lease, attempt, finished)
            case Refused():
                if outcome.opted_out:
                    await self.suppressions.add(state.message.recipient.hash, attempt.provider)
                return await self._settle_failed(state, lease, finished, outcome.reason)
            case NotSent():
                state.previous = finished
                return None
            case Unknown():
                return await self._unknown(state, lease, attempt, finished)
        assert_never(outcome)

    async def _unknown(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> Ended | Record | None:
        """Once, where policy allows: on to what was not tried at all. Else hold."""
        state.suspect, state.previous = attempt, finished
        if state.message.on_unknown is OnUnknown.HOLD or lease.resend_used:
            return await self._settle_unknown(state, lease, finished)
        state.resending = True
        state.excluded |= self._roles(lease.tried)
        return None

    # --- ending --------------------------------------------------------------------------

    async def _end(
        self, state: Round, why: Decision | TooLate | OptedOut | NotBegun
    ) -> Ended | Record:
        """Nobody is left to try in this round."""
        if isinstance(state.base, Lease) and state.previous is not None:
            return await self._end_tried(state, state.base, state.previous, why)
        if not isinstance(why, Decision):
            return why
        if state.message.probe is not None:
            return NoWay(why.reason)
        open_ = [self.guards[role] for role in why.skipped if role not in state.excluded]
        if isinstance(state.base, Record) and state.base.state is State.UNKNOWN and not open_:
            return Settled(state.base.state, state.base.events, "nobody left to resend through")
        due = min((guard.probe_due_in() for guard in open_), default=0.0)
        return Blocked(due, lane=not why.candidates)

    async def _end_tried(
        self,
        state: Round,
        lease: Lease,
        previous: Finished,
        why: Decision | TooLate | OptedOut | NotBegun,
    ) -> Ended | Record:
        if state.suspect is not None:
            return await self._settle_unknown(state, lease, previous)
        if isinstance(why, TooLate):
            return await self._settle_failed(state, lease, previous, "its life ended")
        if isinstance(why, OptedOut):
            return await self._settle_failed(state, lease, previous, "recipient opted out")
        if lease.failed_rounds + 1 >= self._budget(state.message):
            return await self._settle_failed(state, lease, previous, "every round failed")
        lane = state.message.lane
        round_ = await self.messages.wait(lease, previous, counted=True, lane=lane)
        if isinstance(round_, Record):
            return await self._lost(lease, previous, round_)
        return Waits(round_, lease.failed_rounds + 1)

    def _budget(self, message: Message) -> int:
        """Rounds; a probe has one: a second would hide what the first found."""
        return 1 if message.probe is not None else self.budget[message.lane]

    async def _settle_accepted(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> Ended | Record:
        duplicate = attempt.resend
        event = announce.sent(
            state.message, attempt, finished, self.clock.now(), possible_duplicate=duplicate
        )
        to = Settled(State.ACCEPTED, (event,), attempt.reason)
        return await self._settle(state, lease, finished, to)

    async def _settle_failed(
        self, state: Round, lease: Lease, finished: Finished, why: str
    ) -> Ended | Record:
        if state.suspect is not None:
            return await self._settle_unknown(state, lease, finished)
        detail = finished.outcome.reason if not isinstance(finished.outcome, Accepted) else ""
        reason = why if detail in why else f"{why}; last: {detail}"
        event = announce.failed(
            state.message,
            finished.outcome.code,
            reason,
            self.clock.now(),
            attempts=lease.epoch,
            generation=lease.generation,
            provider=lease.provider,
        )
        return await self._settle(state, lease, finished, Settled(State.FAILED, (event,), reason))

    async def _settle_unknown(
        self, state: Round, lease: Lease, finished: Finished
    ) -> Ended | Record:
        suspect = state.suspect
        reason = f"{suspect.provider if suspect else lease.provider} may have taken it"
        events: tuple[StoredEvent, ...] = ()
        if suspect is not None and not state.announced:
            events = (announce.unknown(state.message, suspect, reason, self.clock.now()),)
        return await self._settle(state, lease, finished, Settled(State.UNKNOWN, events, reason))

    async def _settle(
        self, state: Round, lease: Lease, finished: Finished, to: Settled
    ) -> Ended | Record:
        lane = state.message.lane
        stands = await self.messages.settle(lease, to.state, finished, to.events, lane=lane)
        if stands is not None:
            return await self._lost(lease, finished, stands)
        return Settled(to.state, to.events, to.reason, lease.epoch)

    async def _lost(
        self, base: Lease | Record | None, finished: Finished | None, stands: Record
    ) -> Record:
        """Another holds the message now: what we learnt too late is appended, never dropped."""
        if isinstance(base, Lease) and finished is not None:
            await self.messages.late(base, finished)
        return stands

    # --- measuring -----------------------------------------------------------------------

    def _cost(self, provider: str, state: Round, outcome: Outcome) -> Money | None:
        if not isinstance(outcome, Accepted):
            return None
        parts = outcome.parts or state.message.segments
        return outcome.cost or self.price(provider, state.message.to, parts)

    def _measure(self, state: Round, attempt: Attempt, pick: Pick, finished: Finished) -> None:
        message = state.message
        self.meter.attempt(
            Measured(
                provider=attempt.provider,
                outcome=finished.outcome,
                duration_ms=finished.duration_ms,
                lane=message.lane,
                message_type=message.message_type,
                branch_id=message.branch_id,
                segments=message.segments,
                cost=finished.cost,
                eligible=attempt.eligible,
                recipient_hash=message.recipient.hash,
                fallback=pick.role is not pick.decision.preferred,
                probe=message.probe is not None,
            )
        )

    def _sms(self, message: Message, attempt: Attempt) -> Sms:
        return Sms(
            message_id=message.id,
            epoch=attempt.epoch,
            to=message.to,
            text=message.text,
            sender_id=message.sender_id,
            valid_for_s=(message.expires_at - self.clock.now()).total_seconds(),
            traceparent=message.traceparent,
        )

    def _roles(self, providers: frozenset[str]) -> set[Role]:
        return {role for role, guard in self.guards.items() if guard.provider_id in providers}

    def _begin(self, message: Message, base: Record | None) -> Round:
        if base is None or base.state is not State.UNKNOWN:
            # Replayed in spite of what a provider may have: it stays in doubt, and is marked.
            taken = base.suspect() if base is not None else None
            again = taken is not None
            return Round(
                message, base, excluded=set(), suspect=taken, resending=again, announced=again
            )
        unknown = [a for a in base.attempts if a.result in (Result.UNKNOWN, None)]
        return Round(
            message,
            base,
            excluded=self._roles(base.tried()),
            suspect=unknown[-1] if unknown else base.attempts[-1],
            resending=True,
            announced=True,
        )
