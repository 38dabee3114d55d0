"""Alerts about automation: what it holds for, what it did, and that it cannot see the outcomes.

Rules: every replica raises the alerts that follow from state and checkpoint, with the same id, so
that no alert is lost with the replica that decided. Each process reports a rollback once, and not
if it is older than `NEWS`.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.rerun import shown
from worker.domain.migration.phases import Phase
from worker.domain.migration.snapshot import describe

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.alerts import Alerts
    from worker.ports.clock import Clock

NEWS: Final = timedelta(hours=1)
"""Age from which a replica no longer reports an action of automation."""
BLIND_S: Final = 60.0
NAMESPACE: Final = uuid.UUID("6f0f7a39-1d0c-5d58-9d1e-8f0f4a4f1b52")
"""Namespace of ids that are the same on every replica."""
_CODE_OF: Final = {
    hold_reason: code
    for hold_reason in HoldReason
    for code in AlertCode
    if str(code) == str(hold_reason) and hold_reason is not HoldReason.ACCOUNT
}
"""Alert code of each hold reason, except an account fault: the replica that got it alerts it."""
_STATUS: Final = "sms-worker ctl status"
_SUGGESTED: Final = {
    HoldReason.ROLLBACK_WANTED: "sms-worker ctl rollback",
    HoldReason.NO_WAY_BACK: "sms-worker ctl emergency-rollback",
}
_log = structlog.get_logger(__name__)


class AutomationAlerts:
    """Alerts of the monitor.

    Args:
        alerts: takes the alerts of this process.
        clock: time.
    """

    def __init__(self, alerts: Alerts, clock: Clock) -> None:
        self._alerts = alerts
        self._clock = clock
        self._told_of: datetime | None = None
        self._looked = clock.monotonic()

    def looked(self) -> None:
        """Note that the outcomes could be read."""
        self._looked = self._clock.monotonic()
        self._alerts.resolve(AlertCode.MONITOR_BLIND, "the outcomes are looked at again")

    def missed(self, why: str) -> None:
        """Note that the outcomes could not be read. After a minute of that, raise an alert."""
        _log.warning("no evidence: the store is away", error=why)
        if self._clock.monotonic() - self._looked > BLIND_S:
            text = (
                f"no look at the outcomes for over {BLIND_S:g} s ({why}): nothing moves by itself"
            )
            self._alerts.raise_alert(AlertCode.MONITOR_BLIND, text)

    def holds(self, last: Checkpoint | None) -> None:
        """Raise the alert for the reason of a hold, and resolve those of other reasons."""
        if last is None:
            return
        for hold_reason, code in _CODE_OF.items():
            if hold_reason is not last.hold_reason:
                self._alerts.resolve(code, "automation goes on")
        if last.hold_reason in _CODE_OF:
            self._alerts.raise_alert(
                _CODE_OF[last.hold_reason],
                str(last.holding),
                suggested_command=_SUGGESTED.get(last.hold_reason, _STATUS),
                evidence=shown(last.evidence),
            )

    def went_up(self, text: str) -> None:
        """Report that automation moved up or proposes a move."""
        self._alerts.event(AlertCode.STATE, text, suggested_command=_STATUS)

    def went_down(self, state: Snapshot, figures: dict[str, str] | None = None) -> None:
        """Report an automatic rollback that is in the state, unless it was reported."""
        downs = state.automatic_downs
        if not downs or state.since != downs[-1] or self._told_of == state.since:
            return
        if self._clock.now() - downs[-1] > NEWS:
            return
        self._told_of = state.since
        rolled_back = state.phase is Phase.ROLLBACK
        self._alerts.event(
            AlertCode.AUTOMATIC_ROLLBACK if rolled_back else AlertCode.AUTOMATIC_STEP_BACK,
            f"now {describe(state)}: {state.notes}",
            suggested_command="sms-worker ctl history",
            evidence=figures,
            ident=str(uuid.uuid5(NAMESPACE, f"{state.lineage} {downs[-1].isoformat()}")),
        )
