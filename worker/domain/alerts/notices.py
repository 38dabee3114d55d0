"""Alerts as all replicas share them, and the decision which notices are due. Pure.

Rules:
- A trouble begins and ends; an event just happens. A trouble that several replicas see, or that
  comes back within `SAME_S`, is one alert. So are warnings of one code within that time. Every
  other event is its own alert, so each decision gets a notice.
- A trouble that comes and goes does not cause a notice each time. After a notice that it is back,
  it must be over for the time of a repeat before the next notice that it is over.
- A trouble that no replica has confirmed for `UNSEEN_S` is over, so a dead replica keeps no alert
  open.
- Warnings, critical alerts and changes of the state cause one notice when they begin, and one when
  they have been over for a while. An unacknowledged critical alert is repeated.
- An event that could not be sent while it was news is not sent later. A critical trouble always is.
- The clock that stamps may have been ahead for a while. A time in the future counts like one as far
  in the past, so nothing waits until the clock gets there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.domain.alerts.alert_codes import AlertCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from worker.domain.alerts.alert_codes import Severity

SAME_S: Final = 600
UNSEEN_S: Final = 20.0
NEWS: Final = timedelta(hours=1)
"""The age at which an unsent event is no longer news."""
SHOWN: Final = timedelta(hours=24)
"""How long an event or an ended trouble is still shown and may still cause notices."""
TRIES: Final = 8
"""Tries of one notice before it is given up, in about twenty minutes."""
TRIES_AT_THE_REST: Final = 5
"""The same if some recipient got it. The next notice must not wait for the others."""
LEASE: Final = timedelta(seconds=60)
"""How long the claim of a notice lasts; longer than any sending takes."""
LONGEST_WAIT: Final = timedelta(seconds=600)
"""The longest time between two tries of one notice."""
_NAMESPACE: Final = uuid.UUID("0a3f6f0c-54a0-5f0e-8a67-1b8a6b0f5c11")
_SHORTEST_ID: Final = 6
"""The fewest characters that may stand for an id."""


class Kind(StrEnum):
    """The kind of a notice. Stored and sent; set by `due`."""

    NEW = "new"
    AGAIN = "again"
    """The trouble is back after a notice that it was over."""
    REPEAT = "repeat"
    """The alert is not acknowledged yet."""
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class AlertObservation:
    """A trouble or event as one replica saw it begin, end or happen."""

    id: str
    code: str
    provider: str | None
    severity: Severity
    reason: str
    at: datetime
    ends: bool
    """True: a trouble; False: an event."""
    over: bool = False
    suggested_command: str | None = None
    evidence: Mapping[str, str] | None = None

    @property
    def key(self) -> str:
        """The key of the trouble. Only one alert with a key is open at a time."""
        return key(self.code, self.provider)


@dataclass(frozen=True, slots=True)
class Told:
    """The last notice that was sent."""

    kind: Kind
    at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The acknowledgement by a person."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One trouble or event as all replicas share it."""

    id: str
    code: str
    provider: str | None
    severity: Severity
    reason: str
    since: datetime
    last_seen: datetime
    ends: bool
    """True: a trouble; False: an event."""
    count: int = 1
    """How often replicas saw it begin or happen."""
    seen_by: tuple[str, ...] = ()
    """The replicas that see it now."""
    over_at: datetime | None = None
    over_reason: str | None = None
    suggested_command: str | None = None
    evidence: Mapping[str, str] | None = None
    acknowledged: Acknowledged | None = None
    told: Told | None = None
    claims: int = 0
    """Rises with each claim and acknowledgement; compare-and-set uses it."""
    next_at: datetime | None = None
    """No replica tries to send before this time: it is claimed, or the last try failed."""
    tries: int = 0
    """Failed tries of the notice that is due."""
    reached: tuple[str, ...] = ()
    """Marks of the recipients who got the notice that is due."""

    @property
    def name(self) -> str:
        """The code and the provider, in words for people."""
        return f"{self.code} ({self.provider})" if self.provider else self.code

    @property
    def open(self) -> bool:
        """Whether it is a trouble that is not over."""
        return self.ends and self.over_at is None


def alone(what: AlertObservation) -> Alert:
    """The alert as this replica alone knows it."""
    return Alert(
        id=what.id,
        code=what.code,
        provider=what.provider,
        severity=what.severity,
        reason=what.reason,
        since=what.at,
        last_seen=what.at,
        ends=what.ends,
        suggested_command=what.suggested_command,
        evidence=what.evidence,
    )


def key(code: str, provider: str | None) -> str:
    """The key of a trouble."""
    return f"{code}|{provider or ''}"


def identity(code: str, provider: str | None, at: datetime) -> str:
    """An id that is the same on every replica that sees the alert at about this time."""
    span = int(at.timestamp()) // SAME_S
    return str(uuid.uuid5(_NAMESPACE, f"{key(code, provider)}|{span}"))


def is_for_people(alert: Alert | AlertObservation) -> bool:
    """Whether it is sent to people at all. Of severity `info`, only changes of the state are."""
    return alert.severity != "info" or alert.code == AlertCode.STATE


def due(alert: Alert, now: datetime, *, repeat: timedelta, settle: timedelta) -> Kind | None:
    """The notice that is due now; None: none is.

    Args:
        alert: as stored.
        now: the time by the clock that stamped the alert.
        repeat: the time after which an unacknowledged critical alert is repeated.
        settle: how long a trouble must be over before a notice says so, as it may come back.
    """
    if not is_for_people(alert) or _waits(alert, now):
        return None
    if alert.over_at is not None:
        known = alert.told is not None and alert.told.kind is not Kind.RECOVERED
        untold = alert.told is None and alert.severity == "critical"
        settled = apart(alert.over_at, now) >= (repeat if _comes_and_goes(alert) else settle)
        return Kind.RECOVERED if (known or untold) and settled else None
    if alert.told is None:
        return Kind.NEW if alert.ends or now - alert.since < NEWS else None
    if alert.told.kind is Kind.RECOVERED:
        return Kind.AGAIN
    waiting = alert.severity == "critical" and alert.acknowledged is None
    waiting = waiting and (alert.ends or now - alert.since < SHOWN)
    return Kind.REPEAT if waiting and apart(alert.told.at, now) >= repeat else None


def apart(moment: datetime, now: datetime) -> timedelta:
    """The distance to a moment in the past or future."""
    return abs(now - moment)


def _waits(alert: Alert, now: datetime) -> bool:
    """Whether it waits for the next try. No wait is longer than `LONGEST_WAIT`."""
    return alert.next_at is not None and timedelta() < alert.next_at - now <= LONGEST_WAIT


def _comes_and_goes(alert: Alert) -> bool:
    return alert.told is not None and alert.told.kind is Kind.AGAIN


def same(alert: Alert, now: datetime) -> bool:
    """Whether a trouble that begins now belongs to this alert."""
    lately = alert.over_at is None or apart(alert.over_at, now) < timedelta(seconds=SAME_S)
    return alert.ends and lately


def unseen(alert: Alert, now: datetime) -> bool:
    """Whether no replica has confirmed the open alert for `UNSEEN_S`."""
    return alert.open and apart(alert.last_seen, now).total_seconds() > UNSEEN_S


def may_be_acknowledged(alert: Alert) -> bool:
    """Whether it can be acknowledged: it is an open trouble or a critical event."""
    return alert.open or (not alert.ends and alert.severity == "critical")


def named(alerts: Iterable[Alert], name: str, provider: str | None) -> tuple[Alert, ...]:
    """Find the alerts that a code or the beginning of an id names and that can be acknowledged.

    A code means the unacknowledged alerts first, because earlier events of the code may already be
    acknowledged.
    """
    about = [a for a in alerts if may_be_acknowledged(a) and provider in (None, a.provider)]
    by_code = tuple(alert for alert in about if alert.code == name)
    if by_code:
        return tuple(alert for alert in by_code if alert.acknowledged is None) or by_code
    return tuple(a for a in about if len(name) >= _SHORTEST_ID and a.id.startswith(name))


def backoff(tries: int) -> timedelta:
    """The time until the next try: 10 s, doubled each time, at most 10 min."""
    return timedelta(seconds=min(10 * 2 ** max(tries - 1, 0), LONGEST_WAIT.total_seconds()))
