"""Records this replica's alerts in the book of alerts that all replicas share.

Rules: nothing waits for it. What happened while the store was unavailable is recorded in order when
the store is back. Every few seconds a replica confirms the troubles that it still sees. So a
trouble is over when no replica sees it any more, even if the last one died.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from worker.domain.alerts.notices import key, same
from worker.ports.store import StoreUnavailable
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.alerting.direct_notices import DirectNotices
    from worker.domain.alerts.notices import AlertObservation
    from worker.ports.alerts import AlertBook
    from worker.service import Background

EVERY_S: Final = 1.0
CONFIRM_EVERY: Final = 5
"""Rounds between confirmations; several confirmations fit into `notices.UNSEEN_S`."""
_log = structlog.get_logger(__name__)


class Source(Protocol):
    """The alerts of this process."""

    def unrecorded(self) -> list[AlertObservation]:
        """Return the observations that are not recorded yet, oldest first."""
        ...

    def recorded(self, observation: AlertObservation) -> None:
        """Remove an observation that is recorded now."""
        ...

    def seen(self) -> list[AlertObservation]:
        """Return the troubles that this replica sees now."""
        ...

    def known(self, ids: Mapping[str, str]) -> None:
        """Set the ids, by key, of troubles that other replicas see."""
        ...


class Recorder(Loop):
    """Records alerts in the background.

    Args:
        source: alerts of this process.
        book: alerts of all replicas.
        direct: the alerts that were sent to people while the store was unavailable.
        background: runs the loop.
    """

    def __init__(
        self, source: Source, book: AlertBook, direct: DirectNotices, background: Background
    ) -> None:
        super().__init__(background, "alerts")
        self._source = source
        self._book = book
        self._direct = direct
        self._rounds = 0

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            try:
                await self.round()
            except StoreUnavailable as away:
                _log.warning("alerts not recorded: the store is unavailable", error=str(away))
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """Record new observations, confirm open troubles, learn what other replicas see.

        Raises `StoreUnavailable`.
        """
        for observation in self._source.unrecorded():
            await self._book.record(observation, told=observation.id in self._direct)
            self._source.recorded(observation)
        if self._rounds % CONFIRM_EVERY == 0:
            await self._confirm()
        self._rounds += 1

    async def _confirm(self) -> None:
        for observation in self._source.seen():
            await self._book.confirm(observation, told=observation.id in self._direct)
        self._direct.forget()
        oldest_first = reversed(await self._book.recent())  # the newest alert of a key counts
        shared = [alert for alert, now in oldest_first if same(alert, now)]
        self._source.known({key(each.code, each.provider): each.id for each in shared})
