"""What recipients want, as providers tell it: by a callback, or as the reason of a delivery report.

Rules:
- Numbers are read by the plan that reads those of commands.
- A callback is about the sender id it names, else about every sender.
- A delivery report that tells of an opt-out is about the sender its attempt went under. One that
  belongs to no message of ours after a minute is about every sender.
- An opt-out that cannot be recorded is an alert, whichever of the two told it: whoever wants no
  more messages still gets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.alerts.notices import identity
from worker.domain.messages import consent, phone
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Recipient
from worker.domain.messages.receipts import DeliveryReport, OptOut
from worker.numbers import NotANumber

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from worker.domain.messages.receipts import OptIn, StoredReport
    from worker.ports.alerts import Alerts
    from worker.ports.clock import Clock
    from worker.ports.consent import Suppressions

EARLY: Final = timedelta(minutes=1)
"""How long a report may be waiting for its message to be stored."""


def tells_opt_out(read: DeliveryReport | OptOut | OptIn) -> bool:
    """Whether a recipient wants no more messages, by a callback or a delivery report."""
    return isinstance(read, OptOut) or (isinstance(read, DeliveryReport) and read.opted_out)


@dataclass(frozen=True, slots=True)
class Told:
    """A wish and whose it is."""

    recipient: Recipient
    wish: Wish


@dataclass(frozen=True, slots=True)
class Wishes:
    """Understands and records what providers tell.

    Args:
        suppressions: takes the wishes.
        normalise: input -> E.164 or why not.
        key: of recipient hashes.
        alerts: told of what could not be recorded.
        clock: time.
        sender: a sender id as wishes name it.
    """

    suppressions: Suppressions
    normalise: Callable[[str], str | NotANumber]
    key: bytes
    alerts: Alerts
    clock: Clock
    sender: Callable[[str | None], str] = consent.sender

    def recipient(self, number: str | None) -> Recipient | None:
        """Whom a provider means; None: no number of ours."""
        to = self.normalise(number or "")
        return phone.recipient(self.key, to) if isinstance(to, str) else None

    def understood(self, read: OptOut | OptIn, at: datetime) -> Told:
        """A callback as a wish. Raises `ValueError`: nobody's number."""
        to = self.normalise(read.to)
        if isinstance(to, NotANumber):
            raise ValueError(f"number: {to.problem}")  # noqa: TRY004 - what is wrong is the value
        wish = Wish(
            self.sender(read.sender_id),
            stopped=isinstance(read, OptOut),
            at=at,
            source=f"callback of {read.provider}",
        )
        return Told(phone.recipient(self.key, to), wish)

    async def record(self, told: Told) -> None:
        """Put it on record. Waits while the store is away."""
        await self.suppressions.record(told.recipient, told.wish)

    async def of_report(self, stored: StoredReport, to: Recipient, sender_id: str | None) -> None:
        """Record the opt-out that a report tells of, if it does."""
        if tells_opt_out(stored.report):
            source = f"delivery report of {stored.report.provider}"
            wish = Wish(self.sender(sender_id), stopped=True, at=stored.received_at, source=source)
            await self.suppressions.record(to, wish)

    async def of_nobodys_report(self, stored: StoredReport) -> None:
        """The same where no message of ours is known to it."""
        if self.clock.now() - stored.received_at <= EARLY:
            return
        if stored.recipient_hash is not None:
            await self.of_report(stored, Recipient(stored.recipient_hash, ""), None)
        elif tells_opt_out(stored.report):
            reason = "its delivery report names neither a message nor a number of ours"
            self.lost(stored.report.provider, reason, stored.received_at)

    def lost(self, provider: str, reason: str, at: datetime | None = None) -> None:
        """Tell that an opt-out is on no record; with its time: of a report that is kept."""
        self.alerts.event(
            AlertCode.OPT_OUT_LOST,
            f"an opt-out told by {provider} could not be recorded, its subscriber still gets "
            f"messages: {reason}",
            suggested_command="sms-worker dead list" if at is None else None,
            ident=identity(AlertCode.OPT_OUT_LOST, None, at or self.clock.now()),
        )
