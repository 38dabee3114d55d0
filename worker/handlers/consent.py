"""Records opt-outs and opt-ins that providers report, by a callback or in a delivery report.

Rules:
- Numbers are read by the same numbering plan as those of commands.
- A callback is about the sender id it names, else about every sender.
- An opt-out in a delivery report is about the sender id of its attempt. If no message matches the
  report within a minute, the opt-out is about every sender.
- An opt-out that cannot be recorded raises an alert, because the recipient still gets messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.alerts.notices import identity
from worker.domain.messages import consent, masking
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
"""How long a report waits for its message before its opt-out is about every sender."""


def tells_opt_out(read: DeliveryReport | OptOut | OptIn) -> bool:
    """Whether a callback or delivery report says that the recipient opted out."""
    return isinstance(read, OptOut) or (isinstance(read, DeliveryReport) and read.opted_out)


@dataclass(frozen=True, slots=True)
class Told:
    """A wish and the recipient it belongs to."""

    recipient: Recipient
    wish: Wish


@dataclass(frozen=True, slots=True)
class Wishes:
    """Reads and records the opt-outs and opt-ins that providers report.

    Args:
        suppressions: stores the wishes.
        normalise: turns input into E.164 or says why it is no number.
        key: key of the recipient hashes.
        alerts: raised for wishes that cannot be recorded.
        clock: time.
        sender: turns a sender id into the form used in wishes.
        other_keys: see `CommandDecoder`.
    """

    suppressions: Suppressions
    normalise: Callable[[str], str | NotANumber]
    key: bytes
    alerts: Alerts
    clock: Clock
    sender: Callable[[str | None], str] = consent.sender
    other_keys: tuple[bytes, ...] = ()

    def recipient(self, number: str | None) -> Recipient | None:
        """The recipient a provider names; None: it is not a number we can send to."""
        to = self.normalise(number or "")
        return self._hashed(to) if isinstance(to, str) else None

    def understood(self, read: OptOut | OptIn, at: datetime) -> Told:
        """Turn a callback into a wish. Raises `ValueError` if its number cannot be read."""
        to = self.normalise(read.to)
        if isinstance(to, NotANumber):
            raise ValueError(f"number: {to.problem}")  # noqa: TRY004 - the value is wrong, not its type
        wish = Wish(
            self.sender(read.sender_id),
            stopped=isinstance(read, OptOut),
            at=at,
            source=f"callback of {read.provider}",
        )
        return Told(self._hashed(to), wish)

    def _hashed(self, to: str) -> Recipient:
        return masking.recipient(self.key, to, self.other_keys)

    async def record(self, told: Told) -> None:
        """Store the wish. Waits while the store is away."""
        await self.suppressions.record(told.recipient, told.wish)

    async def of_report(self, stored: StoredReport, to: Recipient, sender_id: str | None) -> None:
        """Record the opt-out of a delivery report, if the report contains one."""
        if tells_opt_out(stored.report):
            source = f"delivery report of {stored.report.provider}"
            wish = Wish(self.sender(sender_id), stopped=True, at=stored.received_at, source=source)
            await self.suppressions.record(to, wish)

    async def of_nobodys_report(self, stored: StoredReport) -> None:
        """Record the opt-out of a report that matches no message, once it waited long enough."""
        if self.clock.now() - stored.received_at <= EARLY:
            return
        if stored.recipient_hash is not None:
            await self.of_report(stored, Recipient(stored.recipient_hash, ""), None)
        elif tells_opt_out(stored.report):
            reason = "its delivery report names neither a message nor a number of ours"
            self.lost(stored.report.provider, reason, stored.received_at)

    def lost(self, provider: str, reason: str, at: datetime | None = None) -> None:
        """Alert that an opt-out is not recorded; `at` is set if its report is stored."""
        self.alerts.event(
            AlertCode.OPT_OUT_LOST,
            f"an opt-out told by {provider} could not be recorded, its subscriber still gets "
            f"messages: {reason}",
            suggested_command="sms-worker dead list" if at is None else None,
            ident=identity(AlertCode.OPT_OUT_LOST, None, at or self.clock.now()),
        )
