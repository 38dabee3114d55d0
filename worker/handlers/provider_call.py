"""Calls a provider and measures the call.

Rules: a call is counted when it begins, so that a call that never ends is visible as well. The
provider's reply names the cost of a message; if it does not, the tariff does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.figures.tally import Measured
from worker.domain.messages.outcome import Accepted
from worker.domain.messages.sms import Sms
from worker.domain.messages.writes import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.domain.messages.message import Attempt, Message
    from worker.domain.messages.outcome import Money, Outcome
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
        price: the cost by tariff, used if the reply names none.
    """

    chooser: Chooser
    meter: Meter
    clock: Clock
    price: Callable[[str, str, int], Money | None]

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
        finished = Finished(outcome, duration_ms, self._cost(message, attempt, outcome))
        self._measure(message, attempt, reservation, finished, call)
        return finished

    def _cost(self, message: Message, attempt: Attempt, outcome: Outcome) -> Money | None:
        if not isinstance(outcome, Accepted):
            return None
        parts = outcome.parts or message.segments
        return outcome.cost or self.price(attempt.provider, message.to, parts)

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
