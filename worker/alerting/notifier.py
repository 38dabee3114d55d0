"""Notifies people of alerts: new ones, unacknowledged ones, and those that are over.

Rules: there is no leader. Every replica looks for due notices and sends those that it claims by
compare-and-set. A claim that is not settled in time is free again: a notice may arrive twice, but
it is not lost when a replica dies. Each recipient is tried a limited number of times, and no
recipient waits for another. While the store is unavailable there is no book of alerts. Then a
replica sends, once, each critical trouble that it could not record. When the store is back, the
notice that it is over comes from the book again. All this runs in its own task with its own
timeouts: no message ever waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.alerts.contacts import shown
from worker.domain.alerts.notice_text import notice
from worker.domain.alerts.notices import TRIES, TRIES_AT_THE_REST, Kind, alone, due, unseen
from worker.ports.alerts import Alerts, NotDelivered
from worker.ports.store import StoreUnavailable
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.alerting.direct_notices import DirectNotices
    from worker.domain.alerts.notice_text import Notice
    from worker.domain.alerts.notices import Alert, AlertObservation
    from worker.ports.alerts import AlertBook, NoticeSender
    from worker.ports.clock import Clock
    from worker.ports.steering import Snapshots
    from worker.service import Background

EVERY_S: Final = 2.0
DIRECTLY_AFTER_S: Final = 15.0
"""Seconds without the store before a replica sends notices itself; an election takes less."""
RETURNED_S: Final = 5.0
"""Seconds to wait when the store is back: first each replica records what it saw and sent."""
_DIRECTLY_AGAIN_S: Final = 60.0
_log = structlog.get_logger(__name__)


class Source(Alerts, Protocol):
    """The alerts of this process."""

    def unrecorded(self) -> list[AlertObservation]:
        """Return the observations that are not in the book yet."""
        ...

    def seen(self) -> list[AlertObservation]:
        """Return the troubles that this replica sees now."""
        ...


class Notifier(Loop):
    """A service that sends notices.

    Args:
        source: alerts of this process.
        book: alerts of all replicas.
        snapshots: name the recipients.
        post: sends a notice.
        direct: remembers what is sent while the store is unavailable.
        clock: time.
        background: runs the loop.
        repeat_s: seconds until an unacknowledged critical alert is sent again.
        settle_s: seconds a trouble must be over before people are notified of that.
        directly_after_s: see `DIRECTLY_AFTER_S`.
    """

    def __init__(
        self,
        *,
        source: Source,
        book: AlertBook,
        snapshots: Snapshots,
        post: NoticeSender,
        direct: DirectNotices,
        clock: Clock,
        background: Background,
        repeat_s: float,
        settle_s: float,
        directly_after_s: float = DIRECTLY_AFTER_S,
    ) -> None:
        super().__init__(background, "notices")
        self._source = source
        self._book = book
        self._snapshots = snapshots
        self._post = post
        self._direct = direct
        self._clock = clock
        self._repeat = timedelta(seconds=repeat_s)
        self._settle = timedelta(seconds=settle_s)
        self._directly_after = timedelta(seconds=directly_after_s)
        self._tried: dict[str, float] = {}
        self._quiet_until = float("-inf")

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            await self.turn()
            await asyncio.sleep(EVERY_S)

    async def turn(self) -> None:
        """Send all notices that are due."""
        try:
            while await self.look():
                pass  # one at a time: each claim needs what was read just before it
        except StoreUnavailable:
            self._quiet_until = self._clock.monotonic() + RETURNED_S
            await self._directly()

    async def look(self) -> bool:
        """Close alerts that no replica sees any more, and send one notice that is due.

        Returns:
            Whether a notice was sent; then more may be due. Raises `StoreUnavailable`.
        """
        recipients, alerts = self._recipients(), await self._book.recent()
        if self._clock.monotonic() < self._quiet_until:
            return False
        for alert, now in alerts:
            if unseen(alert, now):
                await self._book.close(alert, now)
                continue
            kind = due(alert, now, repeat=self._repeat, settle=self._settle)
            if kind and recipients and await self._book.claim(alert, now):
                await self._tell(alert, kind, now, recipients)
                return True
        return False

    def _recipients(self) -> list[str]:
        """Return the recipients that the flags name and that the settings let us reach."""
        state = self._snapshots.current
        named = state.flags.migration.notify if state else ()
        problems = [problem for each in named if (problem := self._post.problem(each))]
        if problems:
            self._source.raise_alert(AlertCode.RECIPIENTS, "; ".join(problems))
        else:
            self._source.resolve(AlertCode.RECIPIENTS, "every recipient can be tried")
        return [each for each in named if self._post.problem(each) is None]

    async def _tell(
        self, alert: Alert, kind: Kind, now: datetime, recipients: Sequence[str]
    ) -> None:
        left = [each for each in recipients if _mark(kind, each) not in alert.reached]
        failed = await self._send(left, notice(alert, kind, now))
        marks = (_mark(kind, each) for each in left if each not in failed)
        reached = (*alert.reached, *marks)
        tries = alert.tries + 1
        if failed and tries < (TRIES_AT_THE_REST if reached else TRIES):
            await self._book.in_vain(alert, now, reached)
            return
        await self._book.told(alert, kind)
        if failed and alert.code != AlertCode.NOTIFICATION_FAILED:
            given_up = f"{alert.name}: given up after {tries} tries: {'; '.join(failed.values())}"
            self._source.event(AlertCode.NOTIFICATION_FAILED, given_up)

    async def _send(self, recipients: Sequence[str], said: Notice) -> dict[str, str]:
        """Send to all at the same time; return the reason for each recipient not reached."""
        results = await asyncio.gather(
            *(self._post.send(each, said) for each in recipients), return_exceptions=True
        )
        failed: dict[str, str] = {}
        for recipient, result in zip(recipients, results, strict=True):
            if isinstance(result, NotDelivered):
                failed[recipient] = f"{shown(recipient)}: {result}"
                _log.warning(
                    "notice not delivered",
                    recipient_host=shown(recipient),
                    code=said.alert.code,
                    reason=str(result),
                )
            elif isinstance(result, BaseException):
                raise result
        if len(failed) < len(recipients):
            _log.info(
                "people told",
                code=said.alert.code,
                kind=str(said.kind),
                recipients=len(recipients) - len(failed),
            )
        return failed

    async def _directly(self) -> None:
        """Send notices of the critical troubles that this replica sees but cannot record."""
        now, recipients = self._clock.now(), self._recipients()
        standing = {each.id for each in self._source.seen()}
        for observation in self._source.unrecorded():
            stands = observation.id in standing and not observation.over
            old_enough = now - observation.at >= self._directly_after
            if stands and old_enough and observation.severity == "critical" and recipients:
                await self._tell_directly(observation, now, recipients)

    async def _tell_directly(
        self, observation: AlertObservation, now: datetime, recipients: Sequence[str]
    ) -> None:
        """Send a notice once; again only if nobody at all was reached."""
        moment = self._clock.monotonic()
        waiting = moment < self._tried.get(observation.id, moment)
        if observation.id in self._direct or waiting:
            return
        self._tried[observation.id] = moment + _DIRECTLY_AGAIN_S
        self._direct.note(observation.id)  # before: it may be recorded while we send
        failed = await self._send(recipients, notice(alone(observation), Kind.NEW, now))
        if len(failed) == len(recipients):
            self._direct.take_back(observation.id)


def _mark(kind: Kind, recipient: str) -> str:
    """Return the mark of a recipient who has this notice."""
    return f"{kind} {hashlib.sha256(recipient.encode()).hexdigest()[:16]}"
