"""Who opted out of what, on the real store: durable, known everywhere after the next look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.proxy import Proxy
from tests.support.waiting import until
from worker.clock import SystemClock
from worker.domain.messages.consent import Listed, Wish
from worker.domain.messages.message import Recipient
from worker.ports.store import StoreUnavailable
from worker.store import suppressions
from worker.store.client import Database
from worker.store.suppressions import SuppressionBookStore, SuppressionStore


class Clock(SystemClock):
    """The machine's clock, set by the test."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


def store(database: Database, told: list[str | None] | None = None) -> SuppressionStore:
    trouble = (told if told is not None else []).append
    return SuppressionStore(database[suppressions.COLLECTION], trouble, Clock())


def wish(sender: str = "", minute: int = 0, *, stopped: bool = True) -> Wish:
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)
    return Wish(sender, stopped=stopped, at=at, source=f"test of minute {minute}")


ANN = Recipient("hash", "+260******456")
BANK, PROMO = frozenset({"bank"}), frozenset({"promo"})


async def test_an_opt_out_is_known_here_at_once_and_elsewhere_after_a_look(
    database_here: Database,
) -> None:
    ours, theirs = store(database_here), store(database_here)
    await theirs.follow()
    await ours.record(ANN, wish("promo"))
    assert (ours.stops("hash", PROMO), ours.stops("hash", BANK)) == (True, False)
    assert not theirs.stops("hash", PROMO)
    await theirs.follow()
    assert (theirs.stops("hash", PROMO), theirs.stops("hash", BANK)) == (True, False)


async def test_a_way_back_is_known_here_at_once_and_elsewhere_after_a_look(
    database_here: Database,
) -> None:
    ours, theirs = store(database_here), store(database_here)
    await ours.record(ANN, wish("promo"))
    await theirs.follow()
    await ours.record(ANN, wish("promo", 1, stopped=False))
    await theirs.follow()
    assert (ours.stops("hash", PROMO), theirs.stops("hash", PROMO)) == (False, False)


async def test_what_the_book_is_told_every_replica_knows_after_a_look(
    database_here: Database,
) -> None:
    book = SuppressionBookStore(database_here[suppressions.COLLECTION])
    ours = store(database_here)
    await book.put(ANN, wish("promo"))
    await ours.follow()
    assert ours.stops("hash", PROMO)
    assert await book.read("hash") == (wish("promo"),)
    assert await book.read("nobody") == ()
    assert await book.recent(10) == [Listed(ANN, (wish("promo"),))]
    await book.put(ANN, wish("", 1, stopped=False))
    await ours.follow()
    assert not ours.stops("hash", PROMO)
    assert await book.recent(10) == []


async def test_wishes_recorded_at_the_same_time_are_all_kept(database_here: Database) -> None:
    senders = [f"sender-{n}" for n in range(8)]
    await asyncio.gather(*(store(database_here).record(ANN, wish(each)) for each in senders))
    fresh = store(database_here)
    await fresh.follow()
    assert all(fresh.stops("hash", frozenset({each})) for each in senders)


async def test_what_is_told_twice_is_written_once(database_here: Database) -> None:
    ours = store(database_here)
    await ours.record(ANN, wish("promo"))
    await ours.record(ANN, wish("promo"))
    (found,) = await database_here[suppressions.COLLECTION].find().to_list(None)
    assert (found["rev"], len(found["wishes"])) == (1, 1)


async def test_a_document_of_the_older_shape_means_every_sender(database_here: Database) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    older = {"_id": "hash", "source": "callback of at", "at": at}
    await database_here[suppressions.COLLECTION].insert_one(older)
    ours = store(database_here)
    await ours.follow()
    assert ours.stops("hash", BANK)
    await ours.record(ANN, wish("promo"))
    assert ours.stops("hash", BANK)  # the older wish stays beside the new one
    await ours.record(ANN, wish("", 1, stopped=False))
    assert not ours.stops("hash", BANK | PROMO)


async def test_a_document_of_a_newer_shape_is_read_by_what_is_known(
    database_here: Database,
) -> None:
    stored = {"sender": "promo", "stopped": True, "at": datetime(2026, 1, 1, tzinfo=UTC), "x": 1}
    newer = {"_id": "hash", "rev": 7, "wishes": [stored], "mask": "", "at": stored["at"], "y": 2}
    await database_here[suppressions.COLLECTION].insert_one(newer)
    ours = store(database_here)
    await ours.follow()
    assert (ours.stops("hash", PROMO), ours.stops("hash", BANK)) == (True, False)


async def test_a_change_dated_in_the_future_hides_no_later_one(database_here: Database) -> None:
    ours = store(database_here)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    wrong = {"_id": "another", "source": "a clock that was ahead", "at": ahead}
    await database_here[suppressions.COLLECTION].insert_one(wrong)
    await ours.follow()
    assert ours.stops("another", BANK)
    await store(database_here).record(ANN, wish())
    await ours.follow()
    assert ours.stops("hash", BANK)


async def test_an_opt_out_written_by_a_server_whose_clock_is_behind_is_seen(
    database_here: Database,
) -> None:
    ours = store(database_here)
    await store(database_here).record(Recipient("another", ""), wish())
    await ours.follow()
    behind = datetime.now(UTC) - timedelta(minutes=2)
    late = {"_id": "hash", "source": "the primary after a failover", "at": behind}
    await database_here[suppressions.COLLECTION].insert_one(late)
    await ours.follow()
    assert ours.stops("hash", BANK)


# --- times to come, as clocks ahead and forged reports dated them --------------------------------

FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize("written", [timedelta(), timedelta(hours=1)])
async def test_a_stored_way_back_of_the_future_outlasts_no_later_opt_out(
    database_here: Database, written: timedelta
) -> None:
    now = datetime.now(UTC)
    back = {"sender": "", "stopped": False, "at": FOR_EVER, "source": "callback of at"}
    stored = {"_id": "hash", "rev": 1, "mask": "", "wishes": [back], "at": now + written}
    await database_here[suppressions.COLLECTION].insert_one(stored)
    ours = store(database_here)
    await ours.record(ANN, Wish("promo", stopped=True, at=datetime.now(UTC), source="a stop"))
    assert (ours.stops("hash", PROMO), ours.stops("hash", BANK)) == (True, False)


async def test_a_sender_that_an_older_version_spelled_otherwise_is_the_same_one(
    database_here: Database,
) -> None:
    stored = [
        {"sender": "260211123456", "stopped": True, "at": wish().at, "source": "a callback"},
        {"sender": "+260211123457", "stopped": True, "at": wish().at, "source": "a callback"},
    ]
    document = {"_id": "hash", "rev": 1, "mask": "", "wishes": stored, "at": datetime.now(UTC)}
    await database_here[suppressions.COLLECTION].insert_one(document)
    ours = store(database_here)
    await ours.follow()
    assert ours.stops("hash", frozenset({"+260211123456"}))
    await ours.record(ANN, wish("+260211123456", 1, stopped=False))
    assert not ours.stops("hash", frozenset({"+260211123456"}))
    assert ours.stops("hash", frozenset({"+260211123457"}))


# --- a deploy that was taken back ----------------------------------------------------------------


async def older_opt_out(database: Database, ident: str = "hash") -> None:
    """As a worker of commit 0304867 writes one."""
    await database[suppressions.COLLECTION].update_one(
        {"_id": ident},
        {"$setOnInsert": {"source": "code 406"}, "$currentDate": {"at": True}},
        upsert=True,
    )


async def test_an_opt_out_that_an_older_worker_added_to_a_way_back_is_about_every_sender(
    database_here: Database,
) -> None:
    ours = store(database_here)
    book = SuppressionBookStore(database_here[suppressions.COLLECTION])
    await ours.record(ANN, wish("promo", stopped=False))
    await asyncio.sleep(0.002)  # the server's times are of whole milliseconds
    await older_opt_out(database_here)
    await ours.follow()
    assert (ours.stops("hash", PROMO), ours.stops("hash", BANK)) == (True, True)
    assert [each.recipient for each in await book.recent(10)] == [ANN]
    await ours.record(ANN, wish("promo", 1, stopped=False))
    assert ours.stops("hash", BANK)
    later = Wish("", stopped=False, at=datetime.now(UTC), source="a way back after it")
    await ours.record(ANN, later)
    assert not ours.stops("hash", BANK | PROMO)


async def test_what_a_worker_between_the_two_wrote_is_read_as_it_stands(
    database_here: Database,
) -> None:
    ours = store(database_here)
    await ours.record(ANN, wish("promo"))
    stored = {"sender": "promo", "stopped": False, "at": wish().at, "source": ""}
    await database_here[suppressions.COLLECTION].update_one(
        {"_id": "hash", "rev": 1},
        {"$set": {"wishes": [stored], "rev": 2}, "$currentDate": {"at": True}},
    )
    await ours.follow()
    assert not ours.stops("hash", PROMO)


async def test_a_list_is_loaded_whole_at_the_start(database_here: Database) -> None:
    ours, fresh = store(database_here), store(database_here)
    for n in range(50):
        await ours.record(Recipient(f"hash-{n}", ""), wish())
    assert not fresh.loaded
    await fresh.follow()
    assert fresh.loaded
    assert all(fresh.stops(f"hash-{n}", BANK) for n in range(50))


async def test_an_empty_list_is_loaded_too(database_here: Database) -> None:
    fresh = store(database_here)
    await fresh.follow()
    assert (fresh.loaded, fresh.stops("hash", BANK)) == (True, False)


async def test_an_opt_out_waits_for_a_store_that_is_away(
    mongo_url: str, mongod_here: Database, database_name: str
) -> None:
    told: list[str | None] = []
    async with Proxy(mongo_url) as proxy:
        url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        behind = Database(url, database_name, timeout_s=0.3)
        ours = store(behind, told)
        await ours.follow()
        proxy.stalled = True
        adding = asyncio.create_task(ours.record(ANN, wish("promo")))
        await until(lambda: told, 10)
        assert ours.stops("hash", PROMO)  # nobody here sends to it any more
        with pytest.raises(StoreUnavailable):
            await ours.follow()
        proxy.stalled = False
        proxy.cut()
        await asyncio.wait_for(adding, 20)
        await behind.close()
    fresh = store(mongod_here)
    await fresh.follow()
    assert fresh.stops("hash", PROMO)


# --- while the hash key is changed ---------------------------------------------------------------


async def test_the_newest_wish_counts_under_every_hash_of_a_number(database_here: Database) -> None:
    """The opt-out was taken with the old key alone, the way back with both."""
    ours, theirs = store(database_here), store(database_here)
    await ours.record(Recipient("old", ANN.mask), wish("promo"))
    both = Recipient("new", ANN.mask, ("old",))
    await ours.record(both, wish("bank", 1))
    await theirs.follow()
    assert [theirs.stops(each, PROMO) for each in both.hashes] == [False, True]
    assert [theirs.stops(each, BANK) for each in both.hashes] == [True, True]
    await ours.record(both, wish("promo", 2, stopped=False))
    await theirs.follow()
    assert not any(theirs.stops(each, PROMO) for each in both.hashes)
