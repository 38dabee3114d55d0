"""Slots and days in a real MongoDB: whatever is written again counts nothing twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from worker.ports import StoreAway
from worker.store.client import Database
from worker.store.slots import SlotStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SLOT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NEXT = SLOT + timedelta(seconds=10)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Slot:
    counts: dict[str, int | Decimal]
    at: datetime = SLOT
    provider: str = "target"


@dataclass(frozen=True)
class Day:
    counts: dict[str, int | Decimal] = field(default_factory=lambda: {"accepted": 1})
    day: date = date(2026, 3, 1)
    provider: str = "target"
    branch_id: int | None = 7
    message_type: str = "Standard"


@pytest.fixture
async def db(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    db = Database(mongo_url, database_name, timeout_s=10)
    yield db
    await db.db.client.drop_database(database_name)
    await db.close()


@pytest.fixture
async def store(db: Database) -> SlotStore:
    store = SlotStore(db, "owner-1", retention_days=30)
    await store.create_indexes()
    return store


async def total(store: SlotStore, provider: str = "target") -> dict[str, int | Decimal]:
    return await store.sum(provider, SLOT - HOUR, SLOT + HOUR)


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
    assert await total(store, "legacy") == {"accepted": 2}


async def test_period_includes_its_start_and_excludes_its_end(store: SlotStore) -> None:
    await store.write([Slot({"accepted": 1}), Slot({"accepted": 2}, at=NEXT)], [])
    assert await store.sum("target", SLOT, NEXT) == {"accepted": 1}


async def test_rolled_up_slots_are_not_summed_with_the_fine_ones(
    store: SlotStore, db: Database
) -> None:
    await store.write([Slot({"accepted": 1})], [])
    rolled = {
        "_id": "up",
        "provider": "target",
        "span": 3600,
        "at": SLOT,
        "counts": {"accepted": 1},
    }
    await db["slots"].insert_one(rolled)
    assert await total(store) == {"accepted": 1}


async def test_money_is_exact(store: SlotStore) -> None:
    rows = [
        Slot({"cost:ZMW": Decimal("0.1")}, at=SLOT + timedelta(seconds=10 * n)) for n in range(10)
    ]
    await store.write(rows, [])
    assert await total(store) == {"cost:ZMW": Decimal("1.0")}


async def test_counts_beyond_32_bits_add_up(store: SlotStore) -> None:
    await store.write([Slot({"duration_us": 2**31 - 1}), Slot({"duration_us": 2**40}, at=NEXT)], [])
    assert await total(store) == {"duration_us": 2**31 - 1 + 2**40}


@pytest.mark.usefixtures("store")
async def test_sum_uses_the_index(db: Database) -> None:
    plan = await db.db.command(
        "explain",
        {
            "find": "slots",
            "filter": {"provider": "p", "span": 10, "at": {"$gte": SLOT, "$lt": NEXT}},
        },
    )
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])


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
async def test_expiry_is_the_databases_work(
    store: SlotStore, db: Database, collection: str
) -> None:
    await store.create_indexes()
    indexes: dict[str, Any] = await db[collection].index_information()
    assert indexes["expireAt_1"]["expireAfterSeconds"] == 0


async def test_store_that_is_away_answers_false() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "x", timeout_s=0.2)
    assert not await SlotStore(away, "owner", retention_days=1).write([Slot({"accepted": 1})], [])
    await away.close()


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    store = SlotStore(away, "owner-1", retention_days=30)
    for asked in (total(store), store.retain(7)):
        with pytest.raises(StoreAway):
            await asked
    await away.close()
