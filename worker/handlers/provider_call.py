"""Calls a provider and measures the call.

Rules: a call is counted when it begins, so that a call that never ends is visible as well. Its cost
comes from the reply or the tariff: `worker.domain.figures.tariff`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.figures.tally import Measured
from worker.domain.messages.sms import Sms
from worker.domain.messages.writes import Finished

if TYPE_CHECKING:
    from worker.domain.figures.tariff import Tariff
    from worker.domain.messages.message import Attempt, Message
    from worker.handlers.choose import Chooser, Reservation
    from worker.ports.clock import Clock
    from worker.ports.metrics import Meter


@dataclass(frozen=True, slots=True)
class ProviderCalls:
    """Calls providers and measures the calls.

    Args:
        chooser: knows whether a call is evidence about the state in force.
        meter: counts attempts.
        clock: time.
        tariff: prices of messages.
    """

    chooser: Chooser
    meter: Meter
    clock: Clock
    tariff: Tariff

    async def call(
        self, message: Message, attempt: Attempt, reservation: Reservation, *, refused: bool
    ) -> Finished:
        """Call the provider once, and measure the call; for `refused` see `Permit.send`."""
        sms = self._sms(message, attempt)
        evidence = self._is_evidence(attempt, reservation)
        call = self.meter.began(attempt.provider, eligible=evidence)
        try:
            outcome, duration_ms = await reservation.permit.send(sms, refused=refused)
        except BaseException:
            self.meter.abandoned(call)
            raise
        today = self.clock.now().date()
        cost = self.tariff.cost(message, attempt.provider, outcome, today)
        finished = Finished(outcome, duration_ms, cost)
        self._measure(message, attempt, reservation, finished, call)
        return finished

    def _is_evidence(self, attempt: Attempt, reservation: Reservation) -> bool:
        """Whether the attempt is evidence about the share in force."""
        return attempt.eligible and self.chooser.about_now(reservation.snapshot)

    def _measure(
        self,
        message: Message,
        attempt: Attempt,
        reservation: Reservation,
        finished: Finished,
        call: int,
    ) -> None:
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
                eligible=self._is_evidence(attempt, reservation),
                recipient_hash=message.recipient.hash,
                fallback=reservation.role is not reservation.decision.preferred,
                probe=message.probe is not None,
            ),
            call,
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
