"""Heartbeats on the real store, judged by the server's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fakes import EPOCH
from worker.domain.migration.replicas import UNKNOWN, Heartbeat, Process
from worker.ports.store import StoreUnavailable
from worker.store import replicas
from worker.store.client import Database
from worker.store.replicas import ALIVE_MS, ReplicaStore

PROCESS = Process("0.1.0", "pod-7", EPOCH)


@pytest.fixture
def store(database_here: Database) -> ReplicaStore:
    return ReplicaStore(database_here[replicas.COLLECTION])


def heartbeat(replica: str, applied: int | None = 3) -> Heartbeat:
    states = {"breakers": {"at": "open"}, "faults": {"at": "balance"}}
    return Heartbeat(replica, applied, 2, **states, in_hand=5, consuming=True, process=PROCESS)


async def test_nobody_alive_counts_as_one(store: ReplicaStore) -> None:
    assert await store.live() == 1


async def test_each_process_counts_once(store: ReplicaStore) -> None:
    for replica in ("a", "b", "a", "c"):
        await store.write_heartbeat(heartbeat(replica))
    assert await store.live() == 3


async def test_a_heartbeat_says_what_its_replica_goes_by(
    store: ReplicaStore, database_here: Database
) -> None:
    await store.write_heartbeat(heartbeat("a", None))
    await store.write_heartbeat(heartbeat("a", 4))
    (found,) = await database_here[replicas.COLLECTION].find({}, {"at": 0}).to_list(None)
    assert found == {
        "_id": "a",
        "applied": 4,
        "oldestUnsent": 2,
        "breakers": {"at": "open"},
        "faults": {"at": "balance"},
        "inHand": 5,
        "consuming": True,
        "software": "0.1.0",
        "host": "pod-7",
        "startedAt": EPOCH,
    }


async def test_a_heartbeat_comes_back_as_it_was_written(store: ReplicaStore) -> None:
    await store.write_heartbeat(heartbeat("a"))
    (found,) = await store.list()
    assert found.heartbeat == heartbeat("a")


async def test_of_an_older_worker_neither_version_nor_host_is_known(
    store: ReplicaStore, database_here: Database
) -> None:
    await store.write_heartbeat(heartbeat("a"))
    gone = dict.fromkeys(("software", "host", "startedAt"), "")
    await database_here[replicas.COLLECTION].update_one({"_id": "a"}, {"$unset": gone})
    (found,) = await store.list()
    assert found.heartbeat == replace(heartbeat("a"), process=UNKNOWN)


async def test_a_replica_that_fell_silent_does_not_count(
    store: ReplicaStore, database_here: Database
) -> None:
    await store.write_heartbeat(heartbeat("a"))
    await store.write_heartbeat(heartbeat("b"))
    collection = database_here[replicas.COLLECTION]
    at = (await collection.find_one({"_id": "a"}))["at"]
    silent = at - timedelta(milliseconds=ALIVE_MS)
    await collection.update_one({"_id": "a"}, {"$set": {"at": silent}})
    assert await store.live() == 1


async def test_who_leaves_does_not_count(store: ReplicaStore) -> None:
    await store.write_heartbeat(heartbeat("a"))
    await store.write_heartbeat(heartbeat("b"))
    await store.leave("a")
    await store.leave("never came")
    assert await store.live() == 1


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    store = ReplicaStore(away[replicas.COLLECTION])
    for asked in (store.write_heartbeat(heartbeat("a")), store.live(), store.leave("a")):
        with pytest.raises(StoreUnavailable):
            await asked
    await away.close()
