"""What is not settled yet, over all replicas: read now and then, so that no scrape waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from worker.ports.store import StoreUnavailable
from worker.service import Loop
from worker.telemetry.instruments import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.domain.messages.message import State
    from worker.ports.clock import Clock
    from worker.ports.messages import OpenRecordCounts, OpenRecords
    from worker.service import Background
    from worker.telemetry.instrument import Sample

EVERY_S: Final = 10.0


class Backlog(Loop):
    """Knows how many records are open; nothing while the store is away.

    Args:
        records: counts them.
        clock: time.
        background: runs the loop.
    """

    def __init__(self, records: OpenRecordCounts, clock: Clock, background: Background) -> None:
        super().__init__(background, "backlog")
        self._records = records
        self._clock = clock
        self._open: Mapping[State, OpenRecords] = {}

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Count them once."""
        try:
            self._open = await self._records.open_records()
        except StoreUnavailable:
            self._open = {}

    def counts(self) -> Iterator[Sample]:
        """Open records by state."""
        for state, found in self._open.items():
            yield found.count, {STATE: str(state)}

    def ages(self) -> Iterator[Sample]:
        """Seconds since the oldest of each state was created."""
        now = self._clock.now()
        for state, found in self._open.items():
            age_s = (now - found.oldest).total_seconds() if found.oldest else 0.0
            yield max(age_s, 0.0), {STATE: str(state)}
