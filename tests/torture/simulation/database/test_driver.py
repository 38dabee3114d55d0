"""The simulated driver: when it sends again, when it acknowledges, what it raises."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    NetworkTimeout,
    OperationFailure,
)

from tests.torture.simulation.database.client import Client
from tests.torture.simulation.database.scripted import Script, things_with
from tests.torture.simulation.database.server import Server
from tests.torture.simulation.database.statements import Insert
from worker.store.client import Database

ONE = {"$inc": {"count": 1}}


@pytest.fixture
def server() -> Server:
    return Server(lambda: datetime(2027, 1, 15, 8, tzinfo=UTC))


@pytest.fixture
def wire() -> Script:
    return Script()


@pytest.fixture
def things(server: Server, wire: Script) -> Any:
    client = partial(Client, server, wire)
    return Database("mongodb://simulated", "sms", timeout_s=0.2, client=client)["things"]


async def count(things: Any) -> Any:
    return (await things.find_one({"_id": 1}))["count"]


@pytest.mark.parametrize("losses", ["lose_reply", "lose_request"])
async def test_a_write_whose_call_is_lost_is_sent_again_and_done_once(
    things: Any, wire: Script, losses: str
) -> None:
    await things.insert_one({"_id": 1, "count": 0})
    getattr(wire, losses)["database.things.update_one"] = 1
    done = await things.update_one({"_id": 1}, ONE)
    assert (done.matched_count, done.modified_count, await count(things)) == (1, 1, 1)


async def test_an_insert_that_is_sent_again_is_no_duplicate_of_itself(
    things: Any, wire: Script
) -> None:
    wire.lose_reply["database.things.insert_one"] = 1
    await things.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        await things.insert_one({"_id": 1})


async def test_of_a_batch_that_is_sent_again_the_duplicates_are_still_known(
    things: Any, wire: Script
) -> None:
    await things.insert_one({"_id": 2})
    wire.lose_reply["database.things.insert_many"] = 1
    with pytest.raises(BulkWriteError) as raised:
        await things.insert_many([{"_id": each} for each in (1, 2, 3)], ordered=False)
    details = raised.value.details
    assert [(each["index"], each["code"]) for each in details["writeErrors"]] == [(1, 11000)]
    assert details["nInserted"] == 2


async def test_an_update_of_many_is_not_sent_again(things: Any, wire: Script) -> None:
    await things.insert_one({"_id": 1, "count": 0})
    wire.lose_reply["database.things.update_many"] = 1
    with pytest.raises(AutoReconnect):
        await things.update_many({}, ONE)
    assert await count(things) == 1


async def test_a_read_whose_call_is_lost_is_sent_again(things: Any, wire: Script) -> None:
    wire.lose_reply["database.things.find"] = 1
    assert await things.find().to_list(None) == []


async def test_who_hears_nothing_until_the_deadline_does_not_send_again(
    things: Any, wire: Script
) -> None:
    wire.waits, wire.lose_request["database.things.update_one"] = True, 1
    with pytest.raises(NetworkTimeout):
        await things.update_one({"_id": 1}, ONE)
    assert wire.names == ["database.things.update_one"]


async def test_sending_again_ends_with_the_deadline(things: Any, wire: Script) -> None:
    wire.lose_request["database.things.update_one"] = 1_000
    with pytest.raises(AutoReconnect):
        await things.update_one({"_id": 1}, ONE)
    assert len(wire.names) == 2


async def test_a_failed_operation_is_an_error_of_the_driver(things: Any) -> None:
    await things.insert_one({"_id": 1, "count": "none"})
    with pytest.raises(OperationFailure) as raised:
        await things.update_one({"_id": 1}, ONE)
    assert raised.value.code == 14


async def test_a_document_returned_by_an_update_is_a_copy(things: Any) -> None:
    await things.insert_one({"_id": 1, "count": 0, "in": {"deep": 1}})
    before = await things.find_one_and_update({"_id": 1}, ONE)
    before["in"]["deep"] = 2
    assert await things.find_one({"_id": 1}) == {"_id": 1, "count": 1, "in": {"deep": 1}}


# --- acknowledgement ---------------------------------------------------------------------------


async def test_a_majority_write_is_acknowledged_when_a_majority_has_it(
    things: Any, wire: Script, server: Server
) -> None:
    server.replication.holds_commits = True
    await things.insert_one({"_id": 1})
    assert wire.names == ["database.things.insert_one", "database.things.insert_one.commit"]
    assert server.replication.is_committed(server.replication.position)


async def test_a_majority_write_that_a_failover_undoes_is_sent_again(
    things: Any, wire: Script, server: Server
) -> None:
    server.replication.holds_commits = True
    wire.before = lambda: server.fail_over() if len(wire.names) == 2 else None
    await things.insert_one({"_id": 1})
    server.fail_over()
    assert await things.find_one({"_id": 1}) == {"_id": 1}
    assert wire.names[:3] == [f"database.things.insert_one{end}" for end in ("", ".commit", "")]


async def test_a_refusal_waits_for_a_majority_too(things: Any, server: Server) -> None:
    server.replication.holds_commits = True
    server.write("sms.things", [Insert({"_id": 1})])
    with pytest.raises(DuplicateKeyError):
        await things.insert_one({"_id": 1})
    assert await things.find_one({"_id": 1}) == {"_id": 1}


async def test_a_write_without_majority_is_acknowledged_at_once_and_can_be_undone(
    wire: Script, server: Server
) -> None:
    server.replication.holds_commits = True
    things = things_with(server, wire, w=1)
    await things.insert_one({"_id": 1})
    assert wire.names == ["database.things.insert_one"]
    server.fail_over()
    assert await things.find_one({"_id": 1}) is None


@pytest.mark.parametrize("preference", ["secondary", "secondaryPreferred"])
async def test_reads_of_a_secondary_lag_behind(
    things: Any, wire: Script, server: Server, preference: str
) -> None:
    await things.insert_one({"_id": 1})
    lagging = things_with(server, wire, readPreference=preference)
    assert await lagging.find_one({"_id": 1}) is None
    server.tick()
    assert await lagging.find_one({"_id": 1}) == {"_id": 1}


async def test_a_local_read_sees_what_no_majority_has(wire: Script, server: Server) -> None:
    server.replication.holds_commits = True
    server.write("sms.things", [Insert({"_id": 1})])
    reads = {
        level: await things_with(server, wire, readConcernLevel=level).count_documents({})
        for level in ("majority", "local")
    }
    assert reads == {"majority": 0, "local": 1}


async def test_it_passes_the_check_of_a_server(server: Server, wire: Script) -> None:
    client = partial(Client, server, wire)
    await Database("mongodb://simulated", "sms", timeout_s=5, client=client).check()
