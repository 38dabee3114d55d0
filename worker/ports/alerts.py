"""Alerts, where they are shared, and who carries a notice to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.alerts.alert_codes import AlertCode
    from worker.domain.alerts.notice_text import Notice
    from worker.domain.alerts.notices import Alert, AlertObservation, Kind


class Alerts(Protocol):
    """Where alerts go: told at once, recorded soon. Nobody waits for it, and it never fails."""

    def event(
        self,
        code: AlertCode,
        reason: str,
        *,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
        ident: str | None = None,
    ) -> None:
        """Something happened; with an id, the same on every replica that tells it."""
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
        """Something began; told once until `over`."""
        ...

    def resolve(self, code: AlertCode, reason: str, *, provider: str | None = None) -> None:
        """It ended; told only where it was raised."""
        ...


class AlertBook(Protocol):
    """Alerts of all replicas. Methods raise `StoreUnavailable`."""

    async def record(self, what: AlertObservation, *, told: bool = False) -> None:
        """Put down what this replica saw begin, end or happen; `told`: people know already."""
        ...

    async def confirm(self, what: AlertObservation, *, told: bool = False) -> None:
        """Say that this replica still sees a trouble; opens it where nobody has."""
        ...

    async def close(self, alert: Alert, now: datetime) -> None:
        """End a trouble, unless somebody confirmed it since it was read."""
        ...

    async def recent(self) -> list[tuple[Alert, datetime]]:
        """What is open or was seen within a day, newest first, each with the server's time."""
        ...

    async def claim(self, alert: Alert, now: datetime) -> bool:
        """Take on what people are to be told of it; False: another replica did."""
        ...

    async def told(self, alert: Alert, kind: Kind) -> None:
        """People were told; ends the claim."""
        ...

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        """Not everybody could be told: to be tried again later; ends the claim."""
        ...

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        """Note who has taken it on; the first one stands."""
        ...


class NotDelivered(Exception):  # noqa: N818 - a fact about the other side, not a failure of ours
    """A notice did not reach its recipient; the text holds no secret."""


class NoticeSender(Protocol):
    """Takes notices to people."""

    def problem(self, recipient: str) -> str | None:
        """Why this recipient cannot be reached with these settings; None: it can."""
        ...

    async def send(self, recipient: str, notice: Notice) -> None:
        """Send within a bounded time. Raises `NotDelivered`."""
        ...
