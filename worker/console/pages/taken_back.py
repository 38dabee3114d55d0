"""The automatic move that took traffic back last, with the evidence it was made on.

Rules: at a share of 0 the monitor forgets its evidence, so the evidence of the decision comes from
the history, or else from the alert about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console.pages import signals
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from contracts.answers import SignalStatus
    from worker.console.known import Known

_ENTRIES: Final = frozenset({ReplyCode.ROLLED_BACK, ReplyCode.STEPPED_BACK})
_ALERTS: Final = frozenset({AlertCode.AUTOMATIC_ROLLBACK, AlertCode.AUTOMATIC_STEP_BACK})


@dataclass(frozen=True, slots=True)
class TakenBack:
    """An automatic rollback or step back."""

    at: datetime | None
    number: int | None
    """Of the entry in the control log; None: only the alert is known."""
    signals: Mapping[str, SignalStatus]
    """Its evidence by signal; empty: not known."""
    share_before: int | None = None


def last(known: Known) -> TakenBack | None:
    """The last one; None: there is none of late."""
    return next(_entries(known), None) or next(_alerts(known), None)


def _entries(known: Known) -> Iterator[TakenBack]:
    for entry in known.history.data.entries if known.history else ():
        if entry.code in _ENTRIES:
            evidence = signals.spelled_out(entry.evidence)
            yield TakenBack(entry.at, entry.number, evidence, entry.share_before)


def _alerts(known: Known) -> Iterator[TakenBack]:
    for alert in known.alerts.data.alerts if known.alerts else ():
        if alert.code in _ALERTS:
            yield TakenBack(alert.since, None, signals.spelled_out(alert.evidence))
