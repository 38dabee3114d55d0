"""A monitor among real books: attempts become slots, slots become ticks, time moves when told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import CodecOptions

from contracts.control import StateAnnouncement
from tests.unit.control_fakes import LINEAGE, MemoryLog
from tests.unit.fakes import HandClock, snapshot
from worker.control.monitor import Monitor
from worker.control.ticks import Ticks
from worker.domain.evidence import TICK_S
from worker.domain.gates import Measures
from worker.domain.judgement import Window
from worker.domain.outcome import Accepted, Blame, NotSent
from worker.domain.periods import SLOT_S
from worker.domain.phases import Phase
from worker.domain.recorded import document, restored
from worker.ports import AccountHealth, Beat, Checkpoint, Heartbeat, LogEntry, Measured, StoreAway
from worker.service import Background
from worker.store.control_log import of_snapshot
from worker.store.control_log import snapshot as stored_snapshot
from worker.telemetry.metrics import Book

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from worker.domain.flags import Snapshot
    from worker.domain.judgement import Topic

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

    async def on_record(self, lineage: str, tick: int, topic: Topic, at: datetime) -> None:
        await asyncio.sleep(0)
        made, evidence = self.kept[lineage]
        if made.tick == tick:
            self.kept[lineage] = replace(made, holds={**made.holds, topic: at}), evidence


class AlertBook:
    """What people are told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []
        self.open: set[str] = set()
        self.ids: set[str] = set()

    def told(
        self, code: str, reason: str, *, severity: str = "info", ident: str = "", **_: Any
    ) -> None:
        if ident not in self.ids:  # the book folds what has one id
            self.messages.append((code, severity, reason))
        self.ids |= {ident} - {""}

    def raised(self, code: str, reason: str, *, severity: str = "critical", **_: Any) -> None:
        if code not in self.open:
            self.open.add(code)
            self.messages.append((code, severity, reason))

    def over(self, code: str, _reason: str) -> None:
        self.open.discard(code)

    @property
    def codes(self) -> list[str]:
        return [str(code) for code, _, _ in self.messages]


class World:
    """Traffic of two replicas, what they store, and monitors that look at it.

    Args:
        percentage: the target's share, since a day.
        proven: shares whose gates passed.
        flags: fields of `Flags`.
    """

    def __init__(self, percentage: int = 25, proven: tuple[int, ...] = (), **flags: Any) -> None:
        self.clock = HandClock()
        self.clock.advance(-self.clock.now().timestamp() % SLOT_S)
        self.books = [Book(self.clock, [TARGET, LEGACY], slow_ms=5_000) for _ in range(2)]
        self.rows: dict[tuple[int, str, int], dict[str, Any]] = {}
        self.log = MemoryLog(self.clock)
        self.checkpoints = Checkpoints(self.clock)
        self.alerts = AlertBook()
        self.target, self.legacy = Account(TARGET), Account(LEGACY)
        self.breakers: list[dict[str, str]] = [{}, {}]
        self.faults: dict[str, str] = {}
        self.measures: Measures | None = None
        """None: as counted."""
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
            ticks=Ticks(self, self, self.target, self.legacy, delivery_age_s=600.0),
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
        self.store()
        self.clock.advance(TICK_S)
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
        made = Measured(
            provider=provider,
            outcome=outcome,
            duration_ms=ms,
            lane="bulk",
            message_type="Standard",
            branch_id=None,
            segments=1,
            cost=None,
            eligible=True,
            recipient_hash=str(self.recipients),
            fallback=False,
        )
        self.books[self.recipients % 2].attempt(made)

    def store(self) -> None:
        """What both replicas write each second."""
        for owner, book in enumerate(self.books):
            for row in book.take(10_000).slots:
                if row.span == SLOT_S:
                    key = owner, row.provider, int(row.at.timestamp())
                    self.rows[key] = dict(row.counts)

    # --- ports ---------------------------------------------------------------------------

    async def recent(
        self, since: datetime, names: Sequence[str]
    ) -> list[tuple[str, int, dict[str, int]]]:
        """`SlotStore.recent`."""
        if self.away:
            raise StoreAway("test")
        sums: dict[tuple[str, int], dict[str, int]] = {}
        for key, counts in list(self.rows.items()):
            _, provider, at = key
            if at < since.timestamp():
                del self.rows[key]
                continue
            found = sums.setdefault((provider, at), dict.fromkeys(names, 0))
            for name, count in counts.items():
                if name in found:
                    found[name] += count
        return [(provider, at, found) for (provider, at), found in sums.items()]

    async def list(self) -> list[Beat]:
        """`Replicas.list`."""
        return [
            Beat(Heartbeat(str(n), 1, None, found, self.faults, 0, consuming=True), 0.1)
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

    async def window(self, _state: Snapshot) -> Window:
        """`Measuring.window`: as it would be if nothing had been before."""
        totals = [book.total(TARGET) for book in self.books]
        return Window(sum(t.accepted for t in totals), sum(t.errors for t in totals))

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
