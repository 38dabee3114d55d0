"""Books of several replicas, each by its own clock, stored and read as the workers do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fakes import HandClock
from tests.support.measured import measured
from tests.support.monitor_fakes import LEGACY, OK, TARGET, Account, Begun, FailedToday, summed
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.evidence import Evidence
from worker.domain.figures.periods import SLOT_S
from worker.monitoring.ticks import Ticks, since
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.detection.tick import Tick
    from worker.domain.figures.periods import SlotSums
    from worker.domain.messages.outcome import Outcome
    from worker.domain.migration.replicas import LiveReplica

MADE = measured(OK)


class Off:
    """A clock that is off by so many seconds."""

    def __init__(self, right: HandClock, seconds: float) -> None:
        self.right, self.off = right, timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self.right.now() + self.off

    def monotonic(self) -> float:
        return self.right.monotonic()


class Replicas:
    """Replicas, and the ticks that their monitors make in turn.

    Args:
        off: by how many seconds the clock of each is wrong; the store's is right.
    """

    def __init__(self, off: Sequence[float] = (0, 0, 0)) -> None:
        self.clock = HandClock()
        self.clock.advance(-self.clock.now().timestamp() % SLOT_S)
        self.clocks = [Off(self.clock, each) for each in off]
        self.books = [AttemptMetrics(each, [TARGET, LEGACY], slow_ms=5_000) for each in self.clocks]
        self.failed = FailedToday()
        self.rows: dict[tuple[int, str, int], dict[str, Any]] = {}
        self.begun: dict[tuple[int, str, int], dict[str, int]] = {}
        self.before: Checkpoint | None = None
        self.recipients = 0
        self.ticks = Ticks(
            slots=self,
            cohorts=Begun(self.begun),
            replicas=self,
            target=Account(TARGET),
            legacy=Account(LEGACY),
            delivery_age_s=600.0,
        )

    def attempt(
        self, replica: int, provider: str, outcome: Outcome, to: str = "", *, eligible: bool = True
    ) -> None:
        """A call of a replica that ends at once; without a recipient, to one not met before."""
        self.recipients += 1
        made = replace(
            MADE,
            provider=provider,
            outcome=outcome,
            eligible=eligible,
            recipient_hash=to or str(self.recipients),
        )
        book = self.books[replica]
        book.attempt(made, book.began(provider, eligible=eligible))

    def store(self) -> None:
        """What every replica does each second."""
        for owner, book in enumerate(self.books):
            self.failed.answer(book)
            changes = book.take(10_000)
            for row in changes.slots:
                if row.span == SLOT_S:
                    self.rows[owner, row.provider, int(row.at.timestamp())] = dict(row.counts)
            for each in changes.cohorts:
                self.begun[owner, each.provider, int(each.at.timestamp())] = dict(each.counts)

    async def tick(self, replica: int = 0) -> Tick:
        """The tick that a replica makes now."""
        now, read_at = self.clocks[replica].now(), self.clock.now()
        before = replace(self.before, read_at=read_at) if self.before else None
        found, counted = await self.ticks.read(before, now)
        self.before = Checkpoint(1, now, Evidence(), counted, since=since(before, now))
        return found

    async def recent(self, start: datetime, names: Sequence[str]) -> list[SlotSums]:
        """`SlotStore.recent`; what is long over is forgotten."""
        over = start.timestamp() - 600
        for key in [key for key in self.rows if key[2] < over]:
            del self.rows[key]
        looked = {key: each for key, each in self.rows.items() if key[2] >= start.timestamp()}
        return summed(looked, names)

    async def list(self) -> list[LiveReplica]:
        """`Replicas.list`: no breaker is open."""
        return []
