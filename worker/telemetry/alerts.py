"""Alerts and breaker changes, as metric events and log lines.

Rules: an alert names what happened, to whom, and what a person can do. The same trouble told again
has the same id until it is over; best effort, like every metric event.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Literal

import structlog

from contracts.codec import encode
from contracts.metrics import AlertMetric, BreakerMetric

if TYPE_CHECKING:
    from worker.ports import BreakerState, Broadcast, Clock

Severity = Literal["info", "warning", "critical"]
_NAMESPACE: Final = uuid.UUID("0a3f6f0c-54a0-5f0e-8a67-1b8a6b0f5c11")
_log = structlog.get_logger(__name__)


class Alerts:
    """Publishes alerts; remembers which are open, so that one trouble is told once.

    Args:
        broadcast: takes metric events.
        clock: stamps them.
        replica: id of this process.
    """

    def __init__(self, broadcast: Broadcast, clock: Clock, replica: str) -> None:
        self._broadcast = broadcast
        self._clock = clock
        self._replica = replica
        self._open: dict[tuple[str, str | None], uuid.UUID] = {}
        self._reasons: dict[tuple[str, str | None], str] = {}

    def standing(self) -> list[str]:
        """What was raised and is not over, one line each."""
        return [
            f"{code}{f' ({provider})' if provider else ''}: {reason}"
            for (code, provider), reason in self._reasons.items()
        ]

    def told(
        self,
        code: str,
        reason: str,
        *,
        severity: Severity = "info",
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        """Something happened that has no end: each time is told."""
        self._tell(uuid.uuid4(), (code, None), reason, severity, suggested_command, evidence)

    def raised(
        self,
        code: str,
        reason: str,
        *,
        severity: Severity = "critical",
        provider: str | None = None,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        """Something began; told once until `over`."""
        key = (code, provider)
        if key in self._open:
            return
        since = self._clock.now().isoformat()
        ident = uuid.uuid5(_NAMESPACE, f"{code}|{provider}|{self._replica}|{since}")
        self._open[key] = ident
        self._reasons[key] = reason
        self._tell(ident, key, reason, severity, suggested_command, evidence)

    def over(self, code: str, reason: str, *, provider: str | None = None) -> None:
        """It ended; told only where it was raised."""
        ident = self._open.pop((code, provider), None)
        self._reasons.pop((code, provider), None)
        if ident is not None:
            self._tell(ident, (code, provider), f"over: {reason}", "info", None)

    def breaker_changed(
        self, provider: str, old: BreakerState, new: BreakerState, reason: str
    ) -> None:
        """A breaker changed its state."""
        _log.warning("breaker", provider=provider, old=str(old), new=str(new), reason=reason)
        metric = BreakerMetric(
            provider=provider,
            replica=self._replica,
            at=self._clock.now(),
            from_=old.value,
            to=new.value,
            reason=reason,
        )
        self._broadcast.metric(metric.event, encode(metric))

    def account_fault(self, provider: str, fault: str | None) -> None:
        """A provider refuses our account for every message; None: it takes messages again."""
        if fault is None:
            self.over("account-fault", "messages are taken again", provider=provider)
            return
        self.raised(
            "account-fault",
            f"{fault}: every message would fare the same, the breaker is open",
            provider=provider,
            suggested_command=f"sms-worker ctl reset-breaker {provider} -r 'put right'",
        )

    def _tell(  # noqa: PLR0917 - what an alert is made of
        self,
        ident: uuid.UUID,
        about: tuple[str, str | None],
        reason: str,
        severity: Severity,
        suggested_command: str | None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        code, provider = about
        _log.warning("alert", code=code, reason=reason, severity=severity, provider=provider)
        alert = AlertMetric(
            alert_id=ident,
            at=self._clock.now(),
            severity=severity,
            code=code,
            reason=reason,
            provider=provider,
            replica=self._replica,
            evidence=evidence,
            suggested_command=suggested_command,
        )
        self._broadcast.metric(alert.event, encode(alert))
