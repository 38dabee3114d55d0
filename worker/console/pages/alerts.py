"""The section "Alerts": what is open, the most severe first, and who is on it.

Rules: an event of severity critical counts as open until somebody takes it on, and is shown for an
hour longer, with the name. Reasons are texts of providers and of other machines: they are shown as
they are, and never as links.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.console.pages.parts import Tone
from worker.domain.alerts.alert_codes import SEVERITIES
from worker.domain.migration.change_names import ChangeName

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.answers import AlertView
    from worker.console.pages.facts import Facts
    from worker.console.viewer import Viewer

MOST: Final = 2
WORKED_ON: Final = timedelta(hours=1)
"""So long is a critical event shown after somebody took it on."""
_ICONS: Final = {"critical": ("!", Tone.BAD), "warning": ("▲", Tone.WARN)}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert."""

    id: str
    severity: str
    icon: str
    tone: Tone
    reason: str
    since: datetime
    taken_by: str
    """Who is on it; empty: nobody."""
    can_take: bool
    """Whether this person may take it on."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """The section."""

    rows: tuple[Alert, ...]
    more: tuple[Alert, ...]
    open: int
    """How many last, or happened and nobody is on."""
    urgent: int
    """How many are critical and nobody is on."""
    is_known: bool
    over: int
    """How many ended within the last day."""


def alerts(facts: Facts, viewer: Viewer) -> Alerts:
    """The open alerts."""
    told = facts.known.alerts
    views = told.data.alerts if told else []
    standing = sorted((each for each in views if _stands(each, facts.at)), key=_rank)
    rows = tuple(_alert(each, viewer) for each in standing)
    return Alerts(
        rows=rows[:MOST],
        more=rows[MOST:],
        open=sum(each.open or each.acknowledged is None for each in standing),
        urgent=sum(each.severity == "critical" and not each.acknowledged for each in standing),
        is_known=told is not None,
        over=len(views) - len(standing),
    )


def _stands(view: AlertView, at: datetime) -> bool:
    """Whether it is shown: while it is open; a critical event until somebody had an hour for it."""
    if view.open:
        return True
    is_event, taken = view.over_at is None, view.acknowledged
    return is_event and view.severity == "critical" and (taken is None or at - taken.at < WORKED_ON)


def _rank(view: AlertView) -> tuple[bool, int, float]:
    severity = SEVERITIES.index(view.severity) if view.severity in SEVERITIES else 0
    return view.acknowledged is not None, -severity, -view.since.timestamp()


def _alert(view: AlertView, viewer: Viewer) -> Alert:
    icon, tone = _ICONS.get(view.severity, ("i", Tone.UNKNOWN))
    return Alert(
        id=view.id,
        severity=wording.SEVERITIES.get(view.severity, view.severity),
        icon=icon,
        tone=tone,
        reason=view.reason.removeprefix("hold: "),
        since=view.since,
        taken_by=view.acknowledged.by if view.acknowledged else "",
        can_take=view.acknowledged is None and viewer.may(ChangeName.ACK),
    )
