"""Publishes alerts and breaker changes as metric events and log lines.

Rules: an alert says what happened, at which provider, and what a person can do. The replica that
sees it publishes `metric.alert` at once, best effort like every metric event. A trouble has the
same id on every replica until it is over (`domain.alerts.notices.identity`). Each observation waits
here until the recorder stores it (`alerting.recorder`). Nothing waits for the recorder: if it is
too slow, the oldest observation is dropped.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from contracts.codec import encode
from contracts.metrics import AlertMetric, BreakerMetric
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.alerts.notices import AlertObservation, identity, key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.ports.broker import Broadcast
    from worker.ports.clock import Clock
    from worker.ports.providers import BreakerState

_WAITING: Final = 256
"""Most observations that wait to be recorded."""
_log = structlog.get_logger(__name__)


class Alerts:
    """Publishes alerts; remembers which are open, so that each trouble is reported once.

    Args:
        broadcast: takes metric events.
        clock: stamps them.
        replica: id of this process.
    """

    def __init__(self, broadcast: Broadcast, clock: Clock, replica: str) -> None:
        self._broadcast = broadcast
        self._clock = clock
        self._replica = replica
        self._open: dict[str, AlertObservation] = {}
        self._known: Mapping[str, str] = {}
        self._waiting: deque[AlertObservation] = deque(maxlen=_WAITING)

    def standing(self) -> list[str]:
        """Return the open troubles of this replica, one line each."""
        return [
            f"{each.code}{f' ({each.provider})' if each.provider else ''}: {each.reason}"
            for each in self._open.values()
        ]

    def event(
        self,
        code: AlertCode,
        reason: str,
        *,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
        ident: str | None = None,
    ) -> None:
        """Report something that happened and has no end; each time is reported.

        With `ident` (a UUID), the reports of several replicas are one alert.
        """
        now = self._clock.now()
        if ident is None:
            ident = identity(code, None, now) if code.severity == "warning" else str(uuid.uuid4())
        self._tell(
            AlertObservation(
                id=ident,
                code=str(code),
                provider=None,
                severity=code.severity,
                reason=reason,
                at=now,
                ends=False,
                suggested_command=suggested_command,
                evidence=evidence,
            )
        )

    def raise_alert(
        self,
        code: AlertCode,
        reason: str,
        *,
        provider: str | None = None,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        """Report that a trouble began; it is reported once until `resolve`."""
        trouble = key(code, provider)
        if trouble in self._open:
            return
        now = self._clock.now()
        self._open[trouble] = AlertObservation(
            id=self._known.get(trouble) or identity(code, provider, now),
            code=str(code),
            provider=provider,
            severity=code.severity,
            reason=reason,
            at=now,
            ends=True,
            suggested_command=suggested_command,
            evidence=evidence,
        )
        self._tell(self._open[trouble])

    def resolve(self, code: AlertCode, reason: str, *, provider: str | None = None) -> None:
        """Report that a trouble ended; does nothing if this replica did not raise it."""
        began = self._open.pop(key(code, provider), None)
        if began is not None:
            self._tell(replace(began, reason=reason, at=self._clock.now(), over=True))

    # --- for the recorder --------------------------------------------------------------------

    def unrecorded(self) -> list[AlertObservation]:
        """Return the observations that are not recorded yet, oldest first."""
        return list(self._waiting)

    def recorded(self, observation: AlertObservation) -> None:
        """Remove an observation that is recorded now."""
        if self._waiting and self._waiting[0] is observation:
            self._waiting.popleft()

    def seen(self) -> list[AlertObservation]:
        """Return the troubles that this replica sees now."""
        return list(self._open.values())

    def known(self, ids: Mapping[str, str]) -> None:
        """Set the ids, by key, of troubles that other replicas see: ours get the same ids."""
        self._known = ids

    def breaker_changed(
        self, provider: str, old: BreakerState, new: BreakerState, reason: str
    ) -> None:
        """Report that a breaker changed its state."""
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
        """Raise an alert if a provider refuses our account for every message; None resolves it."""
        if fault is None:
            self.resolve(
                AlertCode.ACCOUNT_FAULT, "the provider takes messages again", provider=provider
            )
            return
        self.raise_alert(
            AlertCode.ACCOUNT_FAULT,
            f"{fault}: the provider would refuse every message, so the breaker is open",
            provider=provider,
            suggested_command=f"sms-worker ctl reset-breaker {provider} -r 'put right'",
        )

    def refusals(self, provider: str, code: str, what: str) -> None:
        """Report that a provider refuses many messages that another provider may take."""
        self.event(
            AlertCode.REFUSALS,
            f"{provider}: {what}; the other provider is asked, where there is one",
            evidence={"provider": provider, "code": code},
            ident=identity(f"{AlertCode.REFUSALS} {code}", provider, self._clock.now()),
        )

    def _tell(self, what: AlertObservation) -> None:
        """Publish and log an observation at once, then queue it for the recorder."""
        reason = f"over: {what.reason}" if what.over else what.reason
        severity = "info" if what.over else what.severity
        _log.warning(
            "alert", code=what.code, reason=reason, severity=severity, provider=what.provider
        )
        alert = AlertMetric(
            alert_id=uuid.UUID(what.id),
            at=what.at,
            severity=severity,
            code=what.code,
            reason=reason,
            provider=what.provider,
            replica=self._replica,
            evidence=None if what.over or what.evidence is None else dict(what.evidence),
            suggested_command=None if what.over else what.suggested_command,
        )
        self._broadcast.metric(alert.event, encode(alert))
        self._waiting.append(what)
