"""The `AlertBook` port in memory, shared by several replicas as a store is; and who is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker.domain.alerts.notices import (
    LEASE,
    Acknowledged,
    Alert,
    AlertObservation,
    Kind,
    Told,
    alone,
    backoff,
    same,
)
from worker.domain.alerts.notices import key as names
from worker.ports.alerts import NotDelivered
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.alerts.notice_text import Notice
    from worker.ports.clock import Clock


class MemoryBook:
    """What one replica sees of the shared book.

    Attributes:
        away: raise `StoreUnavailable` from every method.
    """

    def __init__(self, clock: Clock, replica: str = "r-1", of: MemoryBook | None = None) -> None:
        self.clock = clock
        self.replica = replica
        self.alerts: dict[str, Alert] = of.alerts if of else {}
        self.holders: dict[str, str] = of.holders if of else {}
        self.away = False

    async def record(self, what: AlertObservation, *, told: bool = False) -> None:
        self._step()
        if what.over:
            self._ended(what)
        elif what.ends:
            self._began(what, 1, told=told)
        else:
            before = self.alerts.get(what.id)
            count = before.count + 1 if before else 1
            made = replace(before or alone(what), reason=what.reason, count=count)
            self.alerts[what.id] = replace(made, last_seen=self.clock.now())

    async def confirm(self, what: AlertObservation, *, told: bool = False) -> None:
        self._step()
        self._began(what, 0, told=told)

    def _began(self, what: AlertObservation, count: int, *, told: bool) -> None:
        found = self._open(what.key)
        if found is None:
            before = self._lately(what) or self.alerts.get(what.id)
            fresh = replace(alone(what), count=0)
            anew = {"over_at": None, "acknowledged": None, "reason": what.reason}
            found = replace(before, **anew) if before else fresh
            count = max(count, 1)
        if told:
            found = replace(found, told=Told(Kind.NEW, what.at))
        self.alerts[found.id] = replace(
            found,
            count=found.count + count,
            last_seen=self.clock.now(),
            seen_by=tuple(dict.fromkeys((*found.seen_by, self.replica))),
        )

    def _ended(self, what: AlertObservation) -> None:
        found = self._open(what.key)
        if found is None:
            return
        left = tuple(each for each in found.seen_by if each != self.replica)
        over_at = None if left else self.clock.now()
        self.alerts[found.id] = replace(
            found, seen_by=left, over_reason=what.reason, over_at=over_at, tries=0, reached=()
        )

    def _open(self, key: str) -> Alert | None:
        found = (each for each in self.alerts.values() if each.open)
        return next((each for each in found if names(each.code, each.provider) == key), None)

    def _lately(self, what: AlertObservation) -> Alert | None:
        found = (each for each in self.alerts.values() if same(each, what.at))
        return next((each for each in found if names(each.code, each.provider) == what.key), None)

    async def close(self, alert: Alert, now: datetime) -> None:
        self._step()
        if self.alerts[alert.id].last_seen == alert.last_seen:
            reason = alert.over_reason or "the replicas that saw it are gone"
            self.alerts[alert.id] = replace(alert, over_at=now, over_reason=reason, seen_by=())

    async def recent(self) -> list[tuple[Alert, datetime]]:
        self._step()
        return [(each, self.clock.now()) for each in reversed(self.alerts.values())]

    async def claim(self, alert: Alert, now: datetime) -> bool:
        self._step()
        found = self.alerts[alert.id]
        if found.claims != alert.claims:
            return False
        self.alerts[alert.id] = replace(found, claims=found.claims + 1, next_at=now + LEASE)
        self.holders[alert.id] = self.replica
        return True

    async def told(self, alert: Alert, kind: Kind) -> None:
        self._step()
        self._settle(alert, told=Told(kind, self.clock.now()), next_at=None, tries=0, reached=())

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        self._step()
        tries = alert.tries + 1
        self._settle(alert, next_at=now + backoff(tries), tries=tries, reached=reached)

    def _settle(self, alert: Alert, **changes: object) -> None:
        if self.holders.get(alert.id) == self.replica:
            self.alerts[alert.id] = replace(self.alerts[alert.id], **changes)

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        self._step()
        found = self.alerts[ident]
        if found.acknowledged is None and found.over_at is None:
            taken = Acknowledged(by, self.clock.now(), reason)
            self.alerts[ident] = replace(found, acknowledged=taken, claims=found.claims + 1)

    def _step(self) -> None:
        if self.away:
            raise StoreUnavailable("test")


class Letters:
    """The `NoticeSender` port: keeps what it is given.

    Attributes:
        sent: recipient and subject, in order.
        broken: recipients that cannot be reached.
        mails: whether there is a mail server.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.mails = True

    def problem(self, recipient: str) -> str | None:
        return None if self.mails or "://" in recipient else f"{recipient}: no mail server"

    async def send(self, recipient: str, notice: Notice) -> None:
        if recipient in self.broken:
            raise NotDelivered("answered 500")
        self.sent.append((recipient, notice.subject))
