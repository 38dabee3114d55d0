"""Slots and days in a real MongoDB: whatever is written again counts nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.support.measured import measured
from worker.domain.figures.periods import start_of
from worker.domain.figures.series import period
from worker.domain.messages.outcome import Accepted, Money
from worker.ports.store import StoreUnavailable
from worker.store.client import Database
from worker.store.slot_queries import covering, within
from worker.store.slots import SlotStore
from worker.telemetry.metrics import AttemptMetrics

SLOT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NEXT = SLOT + timedelta(seconds=10)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Slot:
    counts: dict[str, int | Decimal]
    at: datetime = SLOT
    provider: str = "target"
    span: int = 10


@dataclass(frozen=True)
class Day:
    counts: dict[str, int | Decimal] = field(default_factory=lambda: {"accepted": 1})
    day: date = date(2026, 3, 1)
    provider: str = "target"
    branch_id: int | None = 7
    message_type: str = "Standard"


@pytest.fixture
def db(database_empty: Database) -> Database:
    return database_empty


@pytest.fixture
async def store(db: Database) -> SlotStore:
    return await ready(db)


async def ready(db: Database) -> SlotStore:
    store = SlotStore(db, "owner-1", retention_days=30)
    await store.create_indexes()
    return store


@pytest.fixture
async def mongod(mongod_empty: Database) -> Database:
    """The real one alone, which says how it reads."""
    await ready(mongod_empty)
    return mongod_empty


async def total(store: SlotStore, provider: str = "target") -> dict[str, int | Decimal]:
    return (await store.sum(SLOT, SLOT + timedelta(minutes=9))).get(provider, {})


async def test_sum_of_nothing_is_empty(store: SlotStore) -> None:
    assert await total(store) == {}


async def test_what_was_written_is_summed(store: SlotStore) -> None:
    assert await store.write([Slot({"accepted": 3, "cost:ZMW": Decimal("2.4000")})], [])
    assert await total(store) == {"accepted": 3, "cost:ZMW": Decimal("2.4000")}


async def test_repeated_write_counts_nothing_twice(store: SlotStore) -> None:
    for _ in range(3):
        await store.write([Slot({"accepted": 3})], [])
    assert await total(store) == {"accepted": 3}


async def test_later_write_of_a_slot_replaces_the_earlier(store: SlotStore) -> None:
    await store.write([Slot({"accepted": 3})], [])
    await store.write([Slot({"accepted": 5, "unknown": 1})], [])
    assert await total(store) == {"accepted": 5, "unknown": 1}


async def test_slots_and_owners_add_up(store: SlotStore, db: Database) -> None:
    other = SlotStore(db, "owner-2", retention_days=30)
    await store.write([Slot({"accepted": 1}), Slot({"accepted": 2}, at=NEXT)], [])
    await other.write([Slot({"accepted": 4})], [])
    assert await total(store) == {"accepted": 7}


async def test_providers_are_summed_apart(store: SlotStore) -> None:
    await store.write([Slot({"accepted": 1}), Slot({"accepted": 2}, provider="legacy")], [])
    assert await store.sum(SLOT, NEXT) == {"target": {"accepted": 1}, "legacy": {"accepted": 2}}


async def test_period_includes_its_start_and_excludes_its_end(store: SlotStore) -> None:
    await store.write([Slot({"accepted": 1}), Slot({"accepted": 2}, at=NEXT)], [])
    assert await store.sum(SLOT, NEXT) == {"target": {"accepted": 1}}


async def test_a_period_in_which_no_slot_begins_sums_to_nothing(store: SlotStore) -> None:
    await store.write([Slot({"accepted": 1})], [])
    assert await store.sum(SLOT + timedelta(seconds=1), SLOT + timedelta(seconds=9)) == {}


class Time:
    """A clock that is set."""

    at = SLOT

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


ATTEMPT = measured(Accepted("id", cost=Money(Decimal("0.8"), "ZMW")))


async def history(db: Database, moments: list[datetime], times: int) -> None:
    """What three processes, one after the other, write who count so often at each moment."""
    for owner, part in enumerate((moments[::3], moments[1::3], moments[2::3])):
        store, clock = SlotStore(db, f"owner-{owner}", retention_days=30), Time()
        book = AttemptMetrics(clock, ["target"], slow_ms=3_000)
        for number, clock.at in enumerate(part):
            for _ in range(times):
                book.attempt(ATTEMPT)
            if number % 20 == 0:
                assert await store.write(book.take().slots, [])
        while rows := book.take().slots:
            assert await store.write(rows, [])


def scattered() -> list[datetime]:
    """Moments over three days, in order."""
    random = Random(4)
    return sorted(SLOT + timedelta(seconds=random.randrange(3 * 86_400)) for _ in range(120))


async def test_any_period_sums_what_was_counted_in_its_slots(
    store: SlotStore, db: Database
) -> None:
    moments = scattered()
    await history(db, moments, 2)
    begun = [moment.replace(second=moment.second // 10 * 10) for moment in moments]
    random = Random(5)
    for _ in range(25):
        since, until = sorted(
            SLOT + timedelta(seconds=random.randrange(-3_600, 4 * 86_400)) for _ in range(2)
        )
        counted = 2 * sum(since <= moment < until for moment in begun)
        found = (await store.sum(since, until)).get("target", {})
        assert found.get("accepted", 0) == counted
        assert found.get("cost:ZMW", 0) == counted * Decimal("0.8")


async def examined(db: Database, since: datetime, until: datetime) -> int:
    """Documents the server looks at to sum a period."""
    asked = {"find": "slots", "filter": covering(since, until)}
    plan = await db.db.command("explain", asked, verbosity="executionStats")
    return plan["executionStats"]["totalDocsExamined"]


async def test_documents_read_do_not_grow_with_the_traffic(mongod: Database) -> None:
    moments = [SLOT + timedelta(minutes=n) for n in range(300)]
    period = (SLOT + timedelta(minutes=7), SLOT + timedelta(hours=4, minutes=7))
    await history(mongod, moments, 1)
    few = await examined(mongod, *period)
    await mongod["slots"].delete_many({})
    await history(mongod, moments, 50)
    assert await examined(mongod, *period) == few > 0


async def test_documents_read_are_those_of_the_pieces_alone(mongod: Database) -> None:
    moments = [SLOT + timedelta(minutes=n) for n in range(2 * 1_440)]
    await history(mongod, moments, 1)
    hours = await examined(mongod, SLOT, SLOT + timedelta(hours=10))
    days = await examined(mongod, SLOT + timedelta(hours=12), SLOT + timedelta(hours=36))
    ends = await examined(
        mongod, SLOT + timedelta(minutes=7), SLOT + timedelta(hours=10, minutes=13)
    )
    assert (hours, days) == (10 * 3, 1 * 3)
    assert ends == 3 + 5 * 3 + 9 * 3 + 1 * 3 + 3


async def test_a_chart_shows_each_slot_over_all_replicas(store: SlotStore, db: Database) -> None:
    moments = scattered()
    await history(db, moments, 2)
    for hours in (0.5, 1.0, 24.0, 72.0, 24.0 * 14, 24.0 * 60):
        shown = period(hours, moments[-1].timestamp() + 5)
        rows = await store.series(shown, ["accepted", "latency:4", "unknown"])
        expected = Counter(
            start_of(int(moment.timestamp()), shown.scale.slot_s)
            for moment in moments
            if shown.since <= int(moment.timestamp()) < shown.until
        )
        found = {row.start: row.sums for row in rows}
        assert {start: sums["accepted"] for start, sums in found.items()} == {
            start: 2 * count for start, count in expected.items()
        }
        assert all(sums["unknown"] == 0 for sums in found.values())


async def test_a_chart_reads_its_own_slots_alone(mongod: Database) -> None:
    await history(mongod, [SLOT + timedelta(minutes=n) for n in range(2 * 1_440)], 1)
    end = SLOT + timedelta(days=2) - timedelta(seconds=1)
    shown = period(24.0, end.timestamp())
    asked = {"find": "slots", "filter": within(shown.scale.span, shown.since, shown.until)}
    plan = await mongod.db.command("explain", asked, verbosity="executionStats")
    assert plan["executionStats"]["totalDocsExamined"] == 3 * len(shown.starts)


async def test_money_is_exact(store: SlotStore) -> None:
    rows = [
        Slot({"cost:ZMW": Decimal("0.1")}, at=SLOT + timedelta(seconds=10 * n)) for n in range(10)
    ]
    await store.write(rows, [])
    assert await total(store) == {"cost:ZMW": Decimal("1.0")}


async def test_counts_beyond_32_bits_add_up(store: SlotStore) -> None:
    await store.write([Slot({"duration_us": 2**31 - 1}), Slot({"duration_us": 2**40}, at=NEXT)], [])
    assert await total(store) == {"duration_us": 2**31 - 1 + 2**40}


async def test_sum_uses_the_index(mongod: Database) -> None:
    since, until = SLOT - timedelta(days=2, seconds=10), SLOT + timedelta(hours=1, seconds=10)
    plan = await mongod.db.command("explain", {"find": "slots", "filter": covering(since, until)})
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_days_are_kept_by_branch_and_type(store: SlotStore, db: Database) -> None:
    rows = [Day(), Day(branch_id=None), Day(message_type="Otp"), Day(day=date(2026, 3, 2))]
    await store.write([], rows)
    await store.write([], rows)
    documents = [document async for document in db["daily"].find()]
    assert len(documents) == 4
    assert {(d["branch"], d["type"], d["day"].date()) for d in documents} == {
        (row.branch_id, row.message_type, row.day) for row in rows
    }


async def expiries(db: Database) -> set[timedelta]:
    slots = {d["expireAt"] - d["at"] async for d in db["slots"].find()}
    return slots | {d["expireAt"] - d["day"] async for d in db["daily"].find()}


async def test_documents_expire_after_the_retention(store: SlotStore, db: Database) -> None:
    await store.write([Slot({"accepted": 1})], [Day()])
    assert await expiries(db) == {timedelta(days=30)}


async def test_changed_retention_holds_for_old_documents_and_new_ones(
    store: SlotStore, db: Database
) -> None:
    await store.write([Slot({"accepted": 1})], [Day()])
    await store.retain(7)
    await store.write([Slot({"accepted": 1}, at=NEXT)], [])
    assert await expiries(db) == {timedelta(days=7)}


@pytest.mark.parametrize("collection", ["slots", "daily"])
async def test_expiry_is_the_databases_work(mongod: Database, collection: str) -> None:
    await ready(mongod)
    indexes: dict[str, Any] = await mongod[collection].index_information()
    assert indexes["expireAt_1"]["expireAfterSeconds"] == 0


async def test_recent_slots_are_summed_over_replicas_and_only_the_short_ones(
    store: SlotStore, db: Database
) -> None:
    other = SlotStore(db, "owner-2", retention_days=30)
    await store.write([Slot({"accepted": 1, "unknown": 2}), Slot({"accepted": 9}, span=600)], [])
    await other.write([Slot({"accepted": 3}), Slot({"accepted": 5}, at=SLOT - HOUR)], [])
    at = int(SLOT.timestamp())
    assert await store.recent(SLOT, ["accepted", "skipped"]) == [
        ("target", at, {"accepted": 4, "skipped": 0})
    ]


async def test_store_that_is_away_answers_false() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "x", timeout_s=0.2)
    assert not await SlotStore(away, "owner", retention_days=1).write([Slot({"accepted": 1})], [])
    await away.close()


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    store = SlotStore(away, "owner-1", retention_days=30)
    for asked in (total(store), store.retain(7)):
        with pytest.raises(StoreUnavailable):
            await asked
    await away.close()
