"""Runs one round of a message: attempt by attempt over the providers that may send it.

    choose (`choose`) -> intent -> POST (`provider_call`) -> outcome
           -> next candidate | end of the round (`round_end`)

Rules:
- Every POST has its own durable intent. The first intent is an insert, each further one a
  compare-and-set that raises the epoch. If our write loses, it returns the stored record, and the
  caller goes on from that record.
- The next candidate is called only after a proof (`NotSent`). After `Unknown` it is called once,
  if the message's policy allows one resend through a provider that was not tried.
- A proof is stored before any wait: if the next candidate has no free permit, or the process is
  draining, the record first becomes `waiting` with the proof.
- The last synchronous check before the POST looks at lease, life and consent. If it fails, the
  record becomes `waiting`, and the round does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Attempt, Lease, OnUnknown, Record, Result, State
from worker.domain.messages.outcome import Accepted, NotSent, Refused, Unknown
from worker.handlers.choose import Reservation
from worker.handlers.round import NotAtOnce, Round, RoundEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.message import Message
    from worker.domain.messages.writes import Finished
    from worker.domain.migration.phases import Role
    from worker.handlers.choose import Chooser
    from worker.handlers.provider_call import ProviderCalls
    from worker.handlers.round import PendingIntents
    from worker.handlers.round_end import RoundEnds
    from worker.ports.clock import Clock
    from worker.ports.consent import Suppressions
    from worker.ports.messages import Messages
    from worker.ports.providers import Guard


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Tries the candidates of a message, in the order of the snapshot in force.

    Args:
        messages: the records.
        chooser: chooses the provider of each attempt.
        calls: calls providers.
        ends: ends rounds and writes their results.
        guards: breaker and limits of each role's provider.
        suppressions: records opt-outs that a provider's refusal reports.
        clock: time.
        deadline_s: by role, the longest a POST can take; a lease must outlive it.
        pending_intents: versions of the intents that are being written.
    """

    messages: Messages
    chooser: Chooser
    calls: ProviderCalls
    ends: RoundEnds
    guards: Mapping[Role, Guard]
    suppressions: Suppressions
    clock: Clock
    deadline_s: Mapping[Role, float]
    pending_intents: PendingIntents

    async def run(self, message: Message, base: Record | None) -> RoundEnd | Record:
        """Run one round.

        Args:
            message: as delivered, with lane, policy and life as frozen in its record.
            base: the record it continues (`waiting`, or `unknown` for the resend); None: a new one.

        Returns:
            How the round ended, or the stored record if our write lost.
        """
        state = self._begin(message, base)
        while True:
            choice = await self.chooser.reserve(state)
            if isinstance(choice, Reservation):
                try:
                    step = await self._attempt(state, choice)
                finally:
                    choice.permit.release()
            elif isinstance(choice, NotAtOnce):
                step = await self._write_proof(state)
            else:
                return await self.ends.nobody_left(state, choice)
            if step is not None:
                return step

    async def _attempt(self, state: Round, reservation: Reservation) -> RoundEnd | Record | None:
        """Write the intent, call the provider, settle the outcome; None: try the next candidate."""
        attempt = self._intent(state, reservation)
        with self.pending_intents.writing(attempt.version):
            held = await self._hold(state, attempt)
        if isinstance(held, Record):
            return await self.ends.lost(state.base, state.previous, held)
        state.base, state.previous, state.began = held, None, True
        if not self._may_send(held, state, reservation):
            return await self.ends.withdraw(state, held)
        refused = bool(state.refused_by - {attempt.provider})
        finished = await self.calls.call(state.message, attempt, reservation, refused=refused)
        state.excluded.add(reservation.role)
        return await self._outcome(state, held, attempt, finished)

    def _intent(self, state: Round, reservation: Reservation) -> Attempt:
        decision = reservation.decision
        preferred = reservation.role is decision.preferred
        provider = self.guards[reservation.role].provider_id
        return Attempt(
            epoch=state.epoch + 1,
            provider=provider,
            version=reservation.snapshot.version,
            reason=decision.reason if preferred else f"{decision.reason}; fallback",
            eligible=decision.assigned and state.epoch == 0 and preferred,
            resend=state.resending,
            at=self.clock.now(),
            sender_id=self.chooser.senders.of_attempt(state.message.sender_id, provider),
        )

    async def _hold(self, state: Round, attempt: Attempt) -> Lease | Record:
        if state.base is None:
            return await self.messages.claim(state.message, attempt)
        return await self.messages.intend(
            state.base, attempt, state.previous, lane=state.message.lane
        )

    def _may_send(self, lease: Lease, state: Round, reservation: Reservation) -> bool:
        """Check one last time before the call. No `await` may stand between this and the POST."""
        enough = self.clock.monotonic() + self.deadline_s[reservation.role] < lease.until
        alive = self.clock.now() < state.message.expires_at
        return enough and alive and not self.chooser.unwanted(state.message)

    async def _outcome(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> RoundEnd | Record | None:
        outcome = finished.outcome
        match outcome:
            case Accepted():
                return await self.ends.settle_accepted(state, lease, attempt, finished)
            case Refused():
                if outcome.opted_out:
                    await self._opted_out(state, attempt)
                return await self.ends.settle_failed(state, lease, finished, outcome.reason)
            case NotSent():
                state.previous = finished
                state.own_faults_only &= outcome.is_own_fault
                if outcome.is_own_fault:
                    state.refused_by.add(attempt.provider)
                return None
            case Unknown():
                return await self._unknown(state, lease, attempt, finished)
        assert_never(outcome)

    async def _opted_out(self, state: Round, attempt: Attempt) -> None:
        wish = Wish(
            self.chooser.senders.name(attempt.sender_id),
            stopped=True,
            at=self.clock.now(),
            source=f"refused by {attempt.provider}",
        )
        await self.suppressions.record(state.message.recipient, wish)

    async def _unknown(
        self, state: Round, lease: Lease, attempt: Attempt, finished: Finished
    ) -> RoundEnd | Record | None:
        """Resend once through an untried provider if the policy allows it, else await a report."""
        state.in_doubt, state.previous, state.announced = attempt, finished, False
        if state.message.on_unknown is OnUnknown.HOLD or lease.resend_used:
            return await self.ends.settle_unknown(state, lease, finished)
        state.resending = True
        state.excluded |= self._roles(lease.tried)
        return None

    async def _write_proof(self, state: Round) -> Record | None:
        """Store the record as `waiting` and continue; a Record: another worker wrote first.

        Another worker that finds the waiting record can continue it as well. Only one of the two
        wins the next intent.
        """
        lease, previous = state.base, state.previous
        if not isinstance(lease, Lease) or previous is None:
            raise AssertionError("expected an attempt of this round whose proof is not written")
        lane = state.message.lane
        waits = await self.messages.wait(lease, previous, counted=False, lane=lane)
        if isinstance(waits, Record):
            return await self.ends.lost(lease, previous, waits)
        stands = await self.messages.look(lease.message_id)
        if stands is None or stands.state is not State.WAITING or stands.round != waits:
            return stands
        state.base, state.previous = stands, None
        return None

    def _roles(self, providers: frozenset[str]) -> set[Role]:
        return {role for role, guard in self.guards.items() if guard.provider_id in providers}

    def _begin(self, message: Message, base: Record | None) -> Round:
        if base is None or base.state is not State.UNKNOWN:
            # It was replayed although a provider may have it. It stays in doubt and is marked.
            in_doubt = base.possibly_sent() if base is not None else None
            again = in_doubt is not None
            return Round(
                message,
                base,
                excluded=set(),
                in_doubt=in_doubt,
                resending=again,
                announced=again,
                refused_by=base.refused_by() if base is not None else set(),
            )
        unknown = [a for a in base.attempts if a.result in (Result.UNKNOWN, None)]
        return Round(
            message,
            base,
            excluded=self._roles(base.tried()),
            in_doubt=unknown[-1] if unknown else base.attempts[-1],
            resending=True,
            announced=True,
            refused_by=base.refused_by(),
        )
