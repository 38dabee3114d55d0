"""A monitor among real books: attempts become slots, slots become ticks, time moves when told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import CodecOptions

from contracts.control import StateAnnouncement
from tests.support.control_fakes import LINEAGE, MemoryLog
from tests.support.fakes import HandClock, snapshot
from tests.support.measured import measured
from worker.domain.detection.cohorts import GRACE_S
from worker.domain.detection.rerun import document, restored
from worker.domain.detection.threshold_policy import Window
from worker.domain.detection.tick import TICK_S
from worker.domain.figures.periods import SLOT_S, CohortSums, SlotSums
from worker.domain.figures.tally import Tally
from worker.domain.messages.account import AccountHealth
from worker.domain.messages.outcome import Accepted, Blame, NotSent
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase
from worker.domain.migration.replicas import Heartbeat, LiveReplica
from worker.monitoring.monitor import Monitor
from worker.monitoring.ticks import Ticks
from worker.ports.store import StoreUnavailable
from worker.service import Background
from worker.store.snapshots import of_snapshot
from worker.store.snapshots import snapshot as stored_snapshot
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from worker.domain.alerts.alert_codes import AlertCode
    from worker.domain.detection.automatic_rollback import HoldReason
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.snapshot import Snapshot

TARGET, LEGACY = "africastalking", "legacy"
OK, BAD = Accepted("id"), NotSent(Blame.PROVIDER, "500", "down")
AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class Account:
    """A provider's account call."""

    gives_reports = True

    def __init__(self, ident: str) -> None:
        self.id = ident
        self.ok = True

    async def check(self) -> AccountHealth:
        return AccountHealth(self.ok, "as the test says")


class Checkpoints:
    """Checkpoints as stored: encoded and read back."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.kept: dict[str, tuple[Checkpoint, bytes]] = {}

    async def read(self, lineage: str) -> Checkpoint | None:
        await asyncio.sleep(0)
        found = self.kept.get(lineage)
        if found is None:
            return None
        made, evidence = found
        age_s = (self.clock.now() - made.at).total_seconds()
        return replace(made, evidence=restored(bson.decode(evidence, AWARE)), age_s=age_s)

    async def write(self, lineage: str, made: Checkpoint) -> bool:
        await asyncio.sleep(0)
        held = self.kept.get(lineage)
        if made.tick != (held[0].tick if held else 0) + 1:
            return False
        self.kept[lineage] = made, bson.encode(document(made.evidence))
        return True

    async def on_record(
        self, lineage: str, tick: int, hold_reason: HoldReason, at: datetime
    ) -> None:
        await asyncio.sleep(0)
        made, evidence = self.kept[lineage]
        if made.tick == tick:
            self.kept[lineage] = replace(made, holds={**made.holds, hold_reason: at}), evidence


class AlertBook:
    """What people are told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []
        self.open: set[str] = set()
        self.ids: set[str] = set()

    def event(self, code: AlertCode, reason: str, *, ident: str = "", **_: Any) -> None:
        if ident not in self.ids:  # the book folds what has one id
            self.messages.append((code, code.severity, reason))
        self.ids |= {ident} - {""}

    def raise_alert(self, code: AlertCode, reason: str, **_: Any) -> None:
        if code not in self.open:
            self.open.add(code)
            self.messages.append((code, code.severity, reason))

    def resolve(self, code: str, _reason: str) -> None:
        self.open.discard(code)

    @property
    def codes(self) -> list[str]:
        return [str(code) for code, _, _ in self.messages]


class FailedToday:
    """Who failed on which day, over all replicas, as the store knows it."""

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.away = False

    def answer(self, book: AttemptMetrics) -> None:
        """What `MetricsPublisher` asks before it stores."""
        asked = book.asked()
        idents = {mark.ident for failure in asked for mark in failure.marks}
        book.answered(asked, None if self.away else idents - self.marks)
        self.marks |= set() if self.away else idents


class Begun:
    """`CohortStore.recent`, of rows by owner, provider and start; what is older is forgotten."""

    def __init__(self, rows: dict[tuple[int, str, int], dict[str, int]]) -> None:
        self.rows = rows

    async def recent(
        self, since: datetime, until: datetime, names: Sequence[str]
    ) -> list[CohortSums]:
        for key in [key for key in self.rows if key[2] < since.timestamp()]:
            del self.rows[key]
        return [
            CohortSums(str(owner), provider, at, {name: counts.get(name, 0) for name in names})
            for (owner, provider, at), counts in self.rows.items()
            if at <= until.timestamp()
        ]


def summed(
    rows: dict[tuple[int, str, int], dict[str, Any]], names: Sequence[str]
) -> list[SlotSums]:
    """Rows of all owners added up, as the stores do it."""
    sums: dict[tuple[str, int], dict[str, int]] = {}
    for (_, provider, at), counts in rows.items():
        found = sums.setdefault((provider, at), dict.fromkeys(names, 0))
        for name, count in counts.items():
            if name in found:
                found[name] += count
    return [SlotSums(provider, at, found) for (provider, at), found in sums.items()]


class World:
    """Traffic of some replicas, what they store, and monitors that look at it.

    Args:
        percentage: the target's share, since a day.
        proven: shares whose gates passed.
        replicas: how many.
        flags: fields of `Flags`.
    """

    delivery_age_s = 600.0

    def __init__(
        self,
        percentage: int = 25,
        proven: tuple[int, ...] = (),
        *,
        replicas: int = 2,
        **flags: Any,
    ) -> None:
        self.clock = HandClock()
        self.clock.advance(-self.clock.now().timestamp() % SLOT_S)
        self.books = [
            AttemptMetrics(self.clock, [TARGET, LEGACY], slow_ms=5_000) for _ in range(replicas)
        ]
        self.failed = FailedToday()
        self.rows: dict[tuple[int, str, int], dict[str, Any]] = {}
        self.begun: dict[tuple[int, str, int], dict[str, int]] = {}
        """Cohorts, by owner, provider and start."""
        self.log = MemoryLog(self.clock)
        self.checkpoints = Checkpoints(self.clock)
        self.alerts = AlertBook()
        self.target, self.legacy = Account(TARGET), Account(LEGACY)
        self.breakers: list[dict[str, str]] = [{}] * replicas
        self.sick: set[int] = set()
        """Replicas that cannot reach the target."""
        self.faults: dict[str, str] = {}
        self.measures: Measures | None = None
        """None: as counted."""
        self.windows: list[datetime | None] = []
        """Since when the state was known whenever a window was asked for."""
        self.announced: list[int] = []
        self.reports = 0
        self.away = False
        self.recipients = 0
        self.first = replace(
            snapshot(percentage, Phase.GRADUAL_MIGRATION, 1, **flags),
            lineage=LINEAGE,
            since=self.clock.now() - timedelta(days=1),
            proven=proven,
        )
        self.monitors = [self.monitor() for _ in range(2)]

    def monitor(self) -> Monitor:
        """One replica's."""
        return Monitor(
            log=self.log,
            ticks=Ticks(
                self, Begun(self.begun), self, self.target, self.legacy, self.delivery_age_s
            ),
            checkpoints=self.checkpoints,
            figures=self,
            publish=self.publish,
            replier=self,
            alerts=self.alerts,
            wake=lambda: None,
            clock=self.clock,
            background=Background(),
        )

    async def begin(self) -> None:
        """Entry 1, and the first tick, before which nothing is counted."""
        seed = LogEntry(1, "worker", "s", {"name": "seed"}, "accepted", None, self.first, {}, {})
        await self.log.append(seed)
        await self.tick()

    async def tick(self, *, monitors: int = 1) -> None:
        """Let 10 s pass, have the books stored, and so many monitors look at once."""
        self.clock.advance(GRACE_S)
        self.store()
        self.clock.advance(TICK_S - GRACE_S)
        await asyncio.gather(*(each.look() for each in self.monitors[:monitors]))

    async def run(self, ticks: int, traffic: Callable[[], None], *, monitors: int = 1) -> None:
        """So many ticks of the same traffic."""
        for _ in range(ticks):
            traffic()
            await self.tick(monitors=monitors)

    @property
    def state(self) -> Snapshot:
        return self.log.entries[-1].after

    @property
    def decisions(self) -> list[str]:
        """Names of what was decided by nobody, in order."""
        return [entry.command["name"] for entry in self.log.entries[1:]]

    # --- traffic -------------------------------------------------------------------------

    def traffic(
        self, target: tuple[int, int] = (0, 0), legacy: tuple[int, int] = (0, 0)
    ) -> Callable[[], None]:
        """Attempts a tick: failed, all."""

        def once() -> None:
            for provider, (bad, total) in ((TARGET, target), (LEGACY, legacy)):
                for number in range(total):
                    self.attempt(provider, OK if number >= bad else BAD)

        return once

    def attempt(self, provider: str, outcome: Any, ms: float = 100.0) -> None:
        """One first attempt, to a number of its own."""
        self.recipients += 1
        whom = str(self.recipients)
        made = measured(outcome, provider=provider, duration_ms=ms, recipient_hash=whom)
        replica = self.recipients % len(self.books)
        if replica in self.sick and provider == TARGET:
            made = replace(made, outcome=BAD)
        book = self.books[replica]
        book.attempt(made, book.began(provider, eligible=True))

    def store(self) -> None:
        """What the replicas write each second."""
        for owner, book in enumerate(self.books):
            self.failed.answer(book)
            changes = book.take(10_000)
            for row in changes.slots:
                if row.span == SLOT_S:
                    key = owner, row.provider, int(row.at.timestamp())
                    self.rows[key] = dict(row.counts)
            for each in changes.cohorts:
                self.begun[owner, each.provider, int(each.at.timestamp())] = dict(each.counts)

    # --- ports ---------------------------------------------------------------------------

    async def recent(self, since: datetime, names: Sequence[str]) -> list[SlotSums]:
        """`SlotStore.recent`."""
        if self.away:
            raise StoreUnavailable("test")
        for key in [key for key in self.rows if key[2] < since.timestamp()]:
            del self.rows[key]
        return summed(self.rows, names)

    async def list(self) -> list[LiveReplica]:
        """`Replicas.list`."""
        return [
            LiveReplica(Heartbeat(str(n), 1, None, found, self.faults, 0, consuming=True), 0.1)
            for n, found in enumerate(self.breakers)
        ]

    async def since_change(self, state: Snapshot) -> Measures:
        """`Measuring.since_change`, of a share that began with the books."""
        if self.measures is not None:
            return self.measures
        seen = await self.checkpoints.read(state.lineage)
        totals = [book.total(TARGET) for book in self.books]
        delivered = sum(t.delivered for t in totals)
        return Measures(
            accepted=sum(t.accepted for t in totals),
            errors=sum(t.errors for t in totals),
            p95_ms=max((t.p95_ms or 0.0 for t in totals), default=None),
            delivered=delivered,
            judged=delivered + sum(t.undelivered for t in totals),
            evidence=seen.evidence if seen else None,
        )

    async def window(self, state: Snapshot, counts_from: datetime | None) -> Window:
        """`Measuring.window`, of what ended within it."""
        self.windows.append(counts_from)
        start = self.clock.now() - timedelta(minutes=state.flags.thresholds.window_min)
        since = max(start, counts_from or start).timestamp()
        rows = [row for (_, who, at), row in self.rows.items() if who == TARGET and at >= since]
        found = [Tally.of(row) for row in rows]
        return Window(
            sum(each.accepted for each in found), sum(each.errors for each in found), since=since
        )

    async def publish(self) -> None:
        """`Reporting.publish`."""
        self.reports += 1

    async def announce_state(self, body: bytes) -> None:
        """`Replier.announce_state`."""
        self.announced.append(StateAnnouncement.model_validate_json(body).version)


def stored(entry: LogEntry) -> LogEntry:
    """An entry as it comes back from the database."""
    assert entry.before is not None
    return replace(
        entry,
        before=stored_snapshot(_through(of_snapshot(entry.before))),
        after=stored_snapshot(_through(of_snapshot(entry.after))),
        evidence=_through(entry.evidence),
    )


def _through(value: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(value), AWARE)
