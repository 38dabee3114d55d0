"""The text of a notice: one subject line and a few lines below it.

Rules: the subject says how bad it is and what happened. The lines say since when, on what evidence,
what to do, and how to stop the repeats. Line breaks in a reason are removed, so that it cannot add
a header to a mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.alerts.notices import Kind, may_be_acknowledged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from worker.domain.alerts.notices import Alert

_SUBJECT: Final = 160
"""The most characters of a subject. The whole reason is in the text."""
_SAYS: Final = {
    Kind.NEW: "{severity}",
    Kind.AGAIN: "{severity}, again",
    Kind.REPEAT: "{severity}, not acknowledged",
    Kind.RECOVERED: "over",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """The notice for one recipient."""

    kind: Kind
    alert: Alert
    subject: str
    text: str
    at: datetime


def notice(alert: Alert, kind: Kind, now: datetime) -> Notice:
    """Write the notice of an alert."""
    return Notice(kind, alert, subject(alert, kind), text(alert, kind, now), now)


def subject(alert: Alert, kind: Kind) -> str:
    """The subject in one line: `[critical] account (africastalking): 401`."""
    said = _SAYS[kind].format(severity=alert.severity)
    reason = alert.over_reason if kind is Kind.RECOVERED else alert.reason
    whole = one_line(f"[{said}] {alert.name}: {reason or alert.reason}")
    return whole if len(whole) <= _SUBJECT else f"{whole[: _SUBJECT - 3]}..."


def text(alert: Alert, kind: Kind, now: datetime) -> str:
    """The whole notice, without its subject."""
    return "\n".join(_lines(alert, kind, now))


def one_line(said: str) -> str:
    """The text without line breaks and other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())


def _lines(alert: Alert, kind: Kind, now: datetime) -> Iterator[str]:
    over = kind is Kind.RECOVERED
    yield f"{alert.severity}: {alert.name}{' is over' if over else ''}"
    yield one_line(alert.reason)
    if over and alert.over_reason:
        yield one_line(alert.over_reason)
    yield ""
    yield f"since: {_at(alert.since)}" + ("" if over else f" ({lasting(alert.since, now)})")
    if alert.over_at is not None:
        yield f"over:  {_at(alert.over_at)} (after {lasting(alert.since, alert.over_at)})"
    if alert.count > 1:
        yield f"seen:  {alert.count} times"
    if alert.seen_by:
        yield f"by:    {len(alert.seen_by)} replicas"
    for name, value in (alert.evidence or {}).items():
        yield "  " + one_line(f"{name}: {value}")
    if alert.suggested_command and not over:
        yield ""
        yield f"what may help: {one_line(alert.suggested_command)}"
    yield ""
    yield f"alert {alert.id}"
    if may_be_acknowledged(alert) and alert.acknowledged is None:
        yield f'acknowledge it: sms-worker ctl ack {alert.id[:8]} -r "why"'


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def lasting(since: datetime, until: datetime) -> str:
    """A duration in words for people: `40 s`, `12 min`, `3.5 h`."""
    seconds = max((until - since).total_seconds(), 0.0)
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"  # noqa: PLR2004 - two hours
