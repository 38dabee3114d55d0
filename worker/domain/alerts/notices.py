"""Alerts as everybody shares them, and what people are to be told of them: the decision, pure.

Rules:
- A trouble begins and ends; an event just happened. A trouble that several replicas see, or that
  comes back within `SAME_S`, is one alert; so are warnings of one code within that time. Every
  other event is an alert of its own: a decision is told each time.
- Of a trouble that comes and goes people are not told at each turn: once it was told to be back, it
  must be over for as long as a repeat takes before it is told to be over again.
- A trouble that no replica has confirmed for `UNSEEN_S` is over: the dead keep nothing open.
- People are told of warnings, of critical ones and of what changes the state, once: when it begins,
  and when it has been over for a while. An unacknowledged critical one is told again and again.
- What nobody could be told while it was news is told no more; a critical trouble always is.
- The clock that stamps may have been ahead for a while: what it stamped in the future is as far
  away as if it were past, so nobody waits until the clock gets there.
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
"""Age at which an event nobody was told of is no news any more."""
SHOWN: Final = timedelta(hours=24)
"""How long an event, or a trouble that is over, is still shown and may still be told again."""
TRIES: Final = 8
"""Attempts at one notice before it is given up: about twenty minutes."""
TRIES_AT_THE_REST: Final = 5
"""The same where somebody has it: the next notice must not wait for those who do not take it."""
LEASE: Final = timedelta(seconds=60)
"""How long whoever claimed a notice has for it; longer than any sending takes."""
LONGEST_WAIT: Final = timedelta(seconds=600)
"""Between two tries of one notice."""
_NAMESPACE: Final = uuid.UUID("0a3f6f0c-54a0-5f0e-8a67-1b8a6b0f5c11")
_SHORTEST_ID: Final = 6
"""Characters of an id that may stand for it."""


class Kind(StrEnum):
    """What a notice says. Stored and sent; set by `due`."""

    NEW = "new"
    AGAIN = "again"
    """It is back after people were told that it was over."""
    REPEAT = "repeat"
    """Nobody has acknowledged it yet."""
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class AlertObservation:
    """What one replica saw begin, end or happen."""

    id: str
    code: str
    provider: str | None
    severity: Severity
    reason: str
    at: datetime
    ends: bool
    """A trouble; else an event."""
    over: bool = False
    suggested_command: str | None = None
    evidence: Mapping[str, str] | None = None

    @property
    def key(self) -> str:
        """Names the trouble: only one of a key is open at a time."""
        return key(self.code, self.provider)


@dataclass(frozen=True, slots=True)
class Told:
    """What people were told last."""

    kind: Kind
    at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody has taken it on."""

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
    """A trouble; else an event."""
    count: int = 1
    """How often a replica saw it begin, or happen."""
    seen_by: tuple[str, ...] = ()
    """Replicas that see it now."""
    over_at: datetime | None = None
    over_reason: str | None = None
    suggested_command: str | None = None
    evidence: Mapping[str, str] | None = None
    acknowledged: Acknowledged | None = None
    told: Told | None = None
    claims: int = 0
    """Rises with each claim and acknowledgement: what compare-and-set goes by."""
    next_at: datetime | None = None
    """Nobody tries to tell anybody before: it is in somebody's hands, or was tried in vain."""
    tries: int = 0
    """At the notice that is due."""
    reached: tuple[str, ...] = ()
    """Marks of the recipients who have the notice that is due."""

    @property
    def name(self) -> str:
        """For people: the code, and whom it is about."""
        return f"{self.code} ({self.provider})" if self.provider else self.code

    @property
    def open(self) -> bool:
        """A trouble that is not over."""
        return self.ends and self.over_at is None


def alone(what: AlertObservation) -> Alert:
    """The alert as far as one replica knows it."""
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
    """Names a trouble."""
    return f"{code}|{provider or ''}"


def identity(code: str, provider: str | None, at: datetime) -> str:
    """Id of what is one alert on every replica that sees it at about that time."""
    span = int(at.timestamp()) // SAME_S
    return str(uuid.uuid5(_NAMESPACE, f"{key(code, provider)}|{span}"))


def is_for_people(alert: Alert | AlertObservation) -> bool:
    """Whether it is sent to anybody at all: of mere information only what changes the state is."""
    return alert.severity != "info" or alert.code == AlertCode.STATE


def due(alert: Alert, now: datetime, *, repeat: timedelta, settle: timedelta) -> Kind | None:
    """What people are to be told now; None: nothing.

    Args:
        alert: as stored.
        now: by the clock that stamped it.
        repeat: after which an unacknowledged critical one is told again.
        settle: how long a trouble must be over before that is told; it may come back.
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
    """How far away a moment is, behind us or before us."""
    return abs(now - moment)


def _waits(alert: Alert, now: datetime) -> bool:
    """Until the next try; nobody ever waits longer than `LONGEST_WAIT`."""
    return alert.next_at is not None and timedelta() < alert.next_at - now <= LONGEST_WAIT


def _comes_and_goes(alert: Alert) -> bool:
    return alert.told is not None and alert.told.kind is Kind.AGAIN


def same(alert: Alert, now: datetime) -> bool:
    """Whether a trouble that begins now is this one."""
    lately = alert.over_at is None or apart(alert.over_at, now) < timedelta(seconds=SAME_S)
    return alert.ends and lately


def unseen(alert: Alert, now: datetime) -> bool:
    """Whether every replica that saw it is gone."""
    return alert.open and apart(alert.last_seen, now).total_seconds() > UNSEEN_S


def may_be_acknowledged(alert: Alert) -> bool:
    """Whether there is anything to take on: an open trouble, or a critical event."""
    return alert.open or (not alert.ends and alert.severity == "critical")


def named(alerts: Iterable[Alert], name: str, provider: str | None) -> tuple[Alert, ...]:
    """What a person means by a code or the beginning of an id, and may acknowledge.

    By a code, what nobody has taken on yet: earlier events of it may long have been.
    """
    about = [a for a in alerts if may_be_acknowledged(a) and provider in (None, a.provider)]
    by_code = tuple(alert for alert in about if alert.code == name)
    if by_code:
        return tuple(alert for alert in by_code if alert.acknowledged is None) or by_code
    return tuple(a for a in about if len(name) >= _SHORTEST_ID and a.id.startswith(name))


def backoff(tries: int) -> timedelta:
    """Until the next try: 10 s, twice as long each time, at most 10 min."""
    return timedelta(seconds=min(10 * 2 ** max(tries - 1, 0), LONGEST_WAIT.total_seconds()))
