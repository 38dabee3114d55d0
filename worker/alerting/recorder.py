"""Puts what this replica tells into the book of alerts that all replicas share.

Rules: nothing waits for it; what happened while the store was away is put down when it is back, in
order. What this replica still sees it confirms every few seconds, so that a trouble ends with the
last replica that sees it, be it by its end.
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
"""Rounds between confirmations; several of them fit into `notices.UNSEEN_S`."""
_log = structlog.get_logger(__name__)


class Source(Protocol):
    """The alerts of this process."""

    def unrecorded(self) -> list[AlertObservation]:
        """What nobody has put down yet, oldest first."""
        ...

    def recorded(self, observation: AlertObservation) -> None:
        """It need not wait any more."""
        ...

    def seen(self) -> list[AlertObservation]:
        """The troubles this replica sees now."""
        ...

    def known(self, ids: Mapping[str, str]) -> None:
        """Ids by key that what begins now has."""
        ...


class Recorder(Loop):
    """A service that records alerts.

    Args:
        source: alerts of this process.
        book: alerts of all.
        direct: what people were told of while the store was away.
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
                _log.warning("alerts not recorded: the store is away", error=str(away))
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """Record what waits, confirm what stands, learn what others see.

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
        found = reversed(await self._book.recent())  # of one key the newest counts
        shared = [alert for alert, now in found if same(alert, now)]
        self._source.known({key(each.code, each.provider): each.id for each in shared})
