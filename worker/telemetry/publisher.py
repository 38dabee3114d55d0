"""Publishes and stores the metrics, once a second.

Rules: metrics never delay other work. Publishing is not repeated; storing repeats until the store
takes the rows; a failure of one does not stop the other. A late tick covers the longer time. A
consumer that missed ticks can catch up, because the sums are cumulative. Right before storing, the
store is asked once which failures count. Without an answer they do not count.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from contracts.codec import encode
from contracts.metrics import Counts, ProviderMetric
from worker.domain.figures.tally import COUNTERS
from worker.service import every

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from worker.domain.figures.tally import Tally
    from worker.ports.broker import Broadcast
    from worker.ports.clock import Clock
    from worker.service import Background
    from worker.telemetry.cohorts import CohortRow
    from worker.telemetry.metrics import AttemptMetrics, DayRow
    from worker.telemetry.slots import SlotRow

EVERY_S: Final = 1.0
_PUBLISHED: Final = tuple(name for name in COUNTERS if name in Counts.model_fields)


class Sink(Protocol):
    """Stores slots and days."""

    async def write(self, slots: Sequence[SlotRow], days: Sequence[DayRow]) -> bool:
        """Write rows as they stand; False where they must be written again."""
        ...


class CohortSink(Protocol):
    """Stores cohorts."""

    async def write(self, rows: Sequence[CohortRow]) -> bool:
        """Write rows as they stand; False where they must be written again."""
        ...


class Failures(Protocol):
    """Knows which recipients failed today."""

    async def first(self, idents: Sequence[str]) -> Collection[str] | None:
        """The marks that are the first of their day; None: not known."""
        ...


class MetricsPublisher:
    """A service that publishes and stores the metrics.

    Args:
        book: the metrics.
        broadcast: publishes `metric.provider`.
        sink: stores slots and days.
        cohorts: stores cohorts.
        failures: decides which failures count.
        background: runs the ticks.
        clock: stamps the events; `since` is the time of construction.
        replica: id of this process.
        every_s: seconds between ticks.
    """

    def __init__(
        self,
        book: AttemptMetrics,
        broadcast: Broadcast,
        *,
        sink: Sink,
        cohorts: CohortSink,
        failures: Failures,
        background: Background,
        clock: Clock,
        replica: str,
        every_s: float = EVERY_S,
    ) -> None:
        self._book = book
        self._broadcast = broadcast
        self._sink = sink
        self._cohorts = cohorts
        self._failures = failures
        self._background = background
        self._clock = clock
        self._replica = replica
        self._since = clock.now()
        self._every_s = every_s
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start to tick. A store that hangs only delays the storing."""
        if not self._tasks:
            publishing = every(self._every_s, self.publish, self._stopping)
            storing = every(self._every_s, self.store, self._stopping)
            self._tasks = {
                self._background.spawn(publishing, "publish metrics"),
                self._background.spawn(storing, "store metrics"),
            }

    async def drain(self) -> None:
        """Do nothing: `stop` publishes what other services still count."""

    async def stop(self) -> None:
        """Publish and store the rest, then stop. Idempotent."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def publish(self) -> None:
        """Publish the sums of every provider."""
        for provider in self._book.providers:
            metric = ProviderMetric(
                provider=provider,
                replica=self._replica,
                at=self._clock.now(),
                since=self._since,
                delta=wire_counts(self._book.delta(provider)),
                total=wire_counts(self._book.total(provider)),
            )
            self._broadcast.metric(metric.event, encode(metric))

    async def store(self) -> None:
        """Write the changed rows; keep those that the store did not take for next time."""
        await self._ask()
        changes = self._book.take()
        stored = await asyncio.gather(
            self._sink.write(changes.slots, changes.days), self._cohorts.write(changes.cohorts)
        )
        if not all(stored):
            self._book.put_back(changes)

    async def _ask(self) -> None:
        asked = self._book.asked()
        idents = dict.fromkeys(mark.ident for failure in asked for mark in failure.marks)
        if idents:
            self._book.answered(asked, await self._failures.first(list(idents)))


def wire_counts(tally: Tally) -> Counts:
    """The published sums: those of `Counts`, without the evidence."""
    return Counts(
        **{name: getattr(tally, name) for name in _PUBLISHED},
        cost=tally.cost,
        duration_ms_sum=tally.duration_us / 1_000,
        histogram=tuple(tally.latency),
    )
