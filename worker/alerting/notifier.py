"""Tells people of alerts: new ones, those nobody acknowledged, those that are over.

Rules: no leader. Every replica looks, and tells what it could claim by compare-and-set; a claim
that is not settled in time is anybody's again, so a notice may come twice and is never lost by a
death. Each recipient is tried a bounded number of times, the others do not wait for it. With the
store away there is no book to look at: then a replica tells by itself of the critical trouble it
could not record, once; when the store is back the book says that it is over. All of it in a task of
its own, within its own timeouts: no message ever waits for it.
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
"""How long the store must be away before a replica tells by itself: an election takes less."""
RETURNED_S: Final = 5.0
"""After the store was away: first every replica puts down what it saw and told meanwhile."""
_DIRECTLY_AGAIN_S: Final = 60.0
_log = structlog.get_logger(__name__)


class Source(Alerts, Protocol):
    """The alerts of this process."""

    def unrecorded(self) -> list[AlertObservation]:
        """What is not in the book yet."""
        ...

    def seen(self) -> list[AlertObservation]:
        """The troubles this replica sees now."""
        ...


class Notifier(Loop):
    """A service that sends notices.

    Args:
        source: alerts of this process.
        book: alerts of all.
        snapshots: whom to tell.
        post: how.
        direct: noted here what is told while the store is away.
        clock: time.
        background: runs the loop.
        repeat_s: seconds until an unacknowledged critical alert is told again.
        settle_s: seconds a trouble must be over before that is told.
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
        """Tell all that is due."""
        try:
            while await self.look():
                pass  # one at a time: each claim is made on what was read just before it
        except StoreUnavailable:
            self._quiet_until = self._clock.monotonic() + RETURNED_S
            await self._directly()

    async def look(self) -> bool:
        """End what nobody sees any more, tell one thing that is due.

        Returns:
            Whether anything was told, so that there may be more. Raises `StoreUnavailable`.
        """
        recipients, found = self._recipients(), await self._book.recent()
        if self._clock.monotonic() < self._quiet_until:
            return False
        for alert, now in found:
            if unseen(alert, now):
                await self._book.close(alert, now)
                continue
            kind = due(alert, now, repeat=self._repeat, settle=self._settle)
            if kind and recipients and await self._book.claim(alert, now):
                await self._tell(alert, kind, now, recipients)
                return True
        return False

    def _recipients(self) -> list[str]:
        """Whom the flags name, as far as the settings let us reach them."""
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
        """To all at once; why not, by those who could not be reached."""
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
        """Without the book: what this replica sees, and could not put down."""
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
        """Once; again only where nobody at all could be reached."""
        at = self._clock.monotonic()
        waiting = at < self._tried.get(observation.id, at)
        if observation.id in self._direct or waiting:
            return
        self._tried[observation.id] = at + _DIRECTLY_AGAIN_S
        self._direct.note(observation.id)  # before: it may be recorded while we send
        failed = await self._send(recipients, notice(alone(observation), Kind.NEW, now))
        if len(failed) == len(recipients):
            self._direct.take_back(observation.id)


def _mark(kind: Kind, recipient: str) -> str:
    """Stands for a recipient who has a notice."""
    return f"{kind} {hashlib.sha256(recipient.encode()).hexdigest()[:16]}"
