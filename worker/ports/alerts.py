"""Ports for alerts: raising them, sharing them between replicas, and sending notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.alerts.alert_codes import AlertCode
    from worker.domain.alerts.notice_text import Notice
    from worker.domain.alerts.notices import Alert, AlertObservation, Kind


class Alerts(Protocol):
    """Takes alerts: publishes each at once and records it soon. It never blocks or fails."""

    def event(
        self,
        code: AlertCode,
        reason: str,
        *,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
        ident: str | None = None,
    ) -> None:
        """Report a single event. Replicas that pass the same `ident` report the same event."""
        ...

    def raise_alert(
        self,
        code: AlertCode,
        reason: str,
        *,
        provider: str | None = None,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        """Report that a trouble began; reported once until `resolve`."""
        ...

    def resolve(self, code: AlertCode, reason: str, *, provider: str | None = None) -> None:
        """Report that a trouble ended; does nothing if it was not raised."""
        ...


class AlertBook(Protocol):
    """The alerts of all replicas. Methods raise `StoreUnavailable`."""

    async def record(self, what: AlertObservation, *, told: bool = False) -> None:
        """Record what this replica saw begin, end or happen; `told`: people know already."""
        ...

    async def confirm(self, what: AlertObservation, *, told: bool = False) -> None:
        """Record that this replica still sees a trouble; opens the alert if it is not open."""
        ...

    async def close(self, alert: Alert, now: datetime) -> None:
        """Close the alert, unless a replica confirmed the trouble since `alert` was read."""
        ...

    async def recent(self) -> list[tuple[Alert, datetime]]:
        """Alerts open now or seen within a day, newest first, each with the server's time."""
        ...

    async def claim(self, alert: Alert, now: datetime) -> bool:
        """Claim the sending of its notices for this replica; False: another replica has it."""
        ...

    async def told(self, alert: Alert, kind: Kind) -> None:
        """Note that the notices were sent; ends the claim."""
        ...

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        """Note that some recipients were not reached, for a later try; ends the claim."""
        ...

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        """Note who acknowledged the alert; the first one stays on record."""
        ...


class NotDelivered(Exception):  # noqa: N818 - a fact about the recipient, not an error in our code
    """A notice did not reach its recipient. The error text holds no secret."""


class NoticeSender(Protocol):
    """Sends notices to people."""

    def problem(self, recipient: str) -> str | None:
        """Why this recipient cannot be reached with these settings; None: it can be reached."""
        ...

    async def send(self, recipient: str, notice: Notice) -> None:
        """Send within a bounded time. Raises `NotDelivered`."""
        ...
