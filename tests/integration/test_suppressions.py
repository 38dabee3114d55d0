"""Who opted out, on the real store: durable, and known everywhere after the next look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.proxy import Proxy
from worker.ports import StoreAway
from worker.store import indexes, suppressions
from worker.store.client import Database
from worker.store.suppressions import SuppressionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def database_here(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    opened = Database(mongo_url, database_name, timeout_s=5)
    await indexes.create(opened)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


def store(database: Database, told: list[str | None] | None = None) -> SuppressionStore:
    return SuppressionStore(
        database[suppressions.COLLECTION], (told if told is not None else []).append
    )


async def test_an_opt_out_is_known_here_at_once_and_elsewhere_after_a_look(
    database_here: Database,
) -> None:
    ours, theirs = store(database_here), store(database_here)
    await theirs.follow()
    await ours.add("hash", "callback of at")
    assert "hash" in ours
    assert "hash" not in theirs
    await theirs.follow()
    assert "hash" in theirs


async def test_a_list_is_loaded_whole_at_the_start(database_here: Database) -> None:
    ours, fresh = store(database_here), store(database_here)
    for n in range(50):
        await ours.add(f"hash-{n}", "test")
    assert not fresh.loaded
    await fresh.follow()
    assert fresh.loaded
    assert all(f"hash-{n}" in fresh for n in range(50))


async def test_an_empty_list_is_loaded_too(database_here: Database) -> None:
    fresh = store(database_here)
    await fresh.follow()
    assert (fresh.loaded, "hash" in fresh) == (True, False)


async def test_an_opt_out_told_twice_keeps_its_first_source(database_here: Database) -> None:
    ours = store(database_here)
    await asyncio.gather(*(ours.add("hash", "first") for _ in range(5)))
    await ours.add("hash", "second")
    (found,) = await database_here[suppressions.COLLECTION].find().to_list(None)
    assert (found["_id"], found["source"]) == ("hash", "first")


async def test_an_opt_out_waits_for_a_store_that_is_away(
    mongo_url: str, database_here: Database, database_name: str
) -> None:
    told: list[str | None] = []
    async with Proxy(mongo_url) as proxy:
        url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        behind = Database(url, database_name, timeout_s=0.3)
        ours = store(behind, told)
        await ours.follow()
        proxy.stalled = True
        adding = asyncio.create_task(ours.add("hash", "test"))
        async with asyncio.timeout(10):
            while not told:
                await asyncio.sleep(0.02)
        assert "hash" in ours  # nobody here sends to it any more
        with pytest.raises(StoreAway):
            await ours.follow()
        proxy.stalled = False
        proxy.cut()
        await asyncio.wait_for(adding, 20)
        await behind.close()
    fresh = store(database_here)
    await fresh.follow()
    assert "hash" in fresh
