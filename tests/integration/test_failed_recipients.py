"""Whose failure counts, and cohorts, in a real MongoDB: over all replicas and restarts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import HandClock
from tests.support.measured import measured
from worker.domain.messages.outcome import Accepted, Unknown
from worker.ports.store import StoreUnavailable
from worker.service import Background
from worker.store import cohorts, failures
from worker.store.client import Database
from worker.store.cohorts import CohortStore
from worker.store.failures import FailureStore
from worker.store.slots import SlotStore
from worker.telemetry.metrics import AttemptMetrics
from worker.telemetry.publisher import MetricsPublisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

SLOT = datetime.combine(datetime.now(UTC) + timedelta(days=1), time(12), UTC)
"""In the future: the database removes what is old."""
NAMES = ("eligible_ok", "eligible_failed", "eligible_open", "any_failed")
LOST = measured(Unknown("read_timeout", "silence"))
TAKEN = replace(LOST, outcome=Accepted("id"))


@dataclass(frozen=True)
class Row:
    counts: dict[str, int]
    at: datetime = SLOT
    provider: str = "target"


@pytest.fixture
def db(database_here: Database) -> Database:
    return database_here


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    yield away
    await away.close()


class Clock(HandClock):
    """Begins at the slot."""

    def now(self) -> datetime:
        return SLOT + timedelta(seconds=self.seconds - 1_000)


class Nobody:
    """Takes metric events."""

    def metric(self, key: str, body: bytes) -> None:
        pass


class Replica:
    """A book, and what a worker stores of it each second.

    Args:
        db: where.
        owner: id of the process.
        asked: where it asks who failed before; None: there too.
    """

    def __init__(
        self, db: Database, owner: str, clock: HandClock, asked: Database | None = None
    ) -> None:
        self.clock = clock
        self.book = AttemptMetrics(self.clock, ["target", "legacy"], slow_ms=3_000)
        self.publisher = MetricsPublisher(
            self.book,
            Nobody(),
            sink=SlotStore(db, owner, retention_days=30),
            cohorts=CohortStore(db[cohorts.COLLECTION], owner),
            failures=FailureStore((asked or db)[failures.COLLECTION], self.clock),
            background=Background(),
            clock=self.clock,
            replica=owner,
        )

    async def fail(self, recipients: Iterable[str]) -> None:
        """A failed call to each, stored once they are old enough to count."""
        for each in recipients:
            call = self.book.began("target", eligible=True)
            self.book.attempt(replace(LOST, recipient_hash=each), call)
        await self.publisher.store()
        self.clock.advance(2.0)
        await self.publisher.store()


async def counted(db: Database, clock: HandClock) -> tuple[int, int, int]:
    """Failures of the target: ended, of any kind, and begun."""
    now, long_ago = clock.now(), clock.now() - timedelta(days=1)
    ended = (await SlotStore(db, "reader", retention_days=1).sum(long_ago, now)).get("target", {})
    store = CohortStore(db[cohorts.COLLECTION], "reader")
    begun = await store.recent(long_ago, now, NAMES)
    return (
        ended.get("eligible_failed", 0),
        ended.get("distinct_failed", 0),
        sum(sums["eligible_failed"] for *_, sums in begun),
    )


async def test_one_number_at_two_replicas_and_after_a_restart_counts_once(db: Database) -> None:
    clock = Clock()
    for owner in ("one", "two", "one again"):
        replica = Replica(db, owner, clock)
        for _ in range(2):
            await replica.fail("a")
    assert await counted(db, clock) == (1, 1, 1)


async def test_a_hundred_numbers_count_a_hundred(db: Database) -> None:
    clock = Clock()
    await Replica(db, "one", clock).fail(str(number) for number in range(60))
    await Replica(db, "two", clock).fail(str(number) for number in range(40, 100))
    assert await counted(db, clock) == (100, 100, 100)


async def test_while_nobody_knows_who_failed_nothing_counts_and_no_other_metric_is_lost(
    db: Database, away: Database
) -> None:
    clock = Clock()
    replica = Replica(db, "one", clock, asked=away)
    replica.book.attempt(TAKEN, replica.book.began("target", eligible=True))
    await replica.fail("a")
    clock.advance(1.0)
    assert await counted(db, clock) == (0, 0, 0)
    slots = SlotStore(db, "reader", retention_days=1)
    sums = (await slots.sum(SLOT, clock.now()))["target"]
    assert (sums["accepted"], sums["unknown"], sums["eligible_ok"]) == (1, 1, 1)


async def test_a_store_that_is_away_knows_nothing(away: Database) -> None:
    assert await FailureStore(away["failed_recipients"], Clock()).first(["a"]) is None
    store = CohortStore(away["cohorts"], "one")
    assert not await store.write([Row({"any_ok": 1})])
    with pytest.raises(StoreUnavailable):
        await store.recent(SLOT, SLOT, NAMES)


async def test_the_first_of_each_mark_is_told_apart_in_one_batch(db: Database) -> None:
    store = FailureStore(db["failed_recipients"], Clock())
    assert await store.first(["a", "b"]) == {"a", "b"}
    assert await store.first(["b", "c", "a", "d"]) == {"c", "d"}
    assert await store.first(["a"]) == set()


async def test_a_cohort_written_again_is_replaced_and_read_by_replica_within_the_period(
    db: Database,
) -> None:
    one, two = (CohortStore(db["cohorts"], owner) for owner in ("one", "two"))
    for count in (3, 4):
        assert await one.write([Row({"eligible_ok": count, "eligible_open": 1})])
    later = SLOT + timedelta(seconds=10)
    assert await two.write([Row({"eligible_ok": 5}), Row({"any_failed": 1}, at=later)])
    assert await two.write([Row({"eligible_ok": 9}, at=SLOT - timedelta(seconds=10))])
    assert await two.write([Row({"eligible_ok": 9}, at=later + timedelta(seconds=10))])
    none, (first, second) = dict.fromkeys(NAMES, 0), (int(at.timestamp()) for at in (SLOT, later))
    assert sorted(await one.recent(SLOT, later, NAMES), key=lambda each: each[:3]) == [
        ("one", "target", first, {**none, "eligible_ok": 4, "eligible_open": 1}),
        ("two", "target", first, {**none, "eligible_ok": 5}),
        ("two", "target", second, {**none, "any_failed": 1}),
    ]


@pytest.mark.parametrize(
    ("collection", "kept_s"), [("cohorts", 600), ("failed_recipients", 2 * 86_400)]
)
async def test_what_is_not_needed_any_more_is_removed_by_the_database(
    mongod_here: Database, collection: str, kept_s: int
) -> None:
    found = await mongod_here[collection].index_information()
    assert found["at_1"]["expireAfterSeconds"] == kept_s
