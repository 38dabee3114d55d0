"""The sweeper on the real store: what no delivery will come for any more."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bson import Timestamp

from tests.integration.due_desk import LEASE_S, MAYBE, B, Desk, T, desk, desk_on_mongod, left
from tests.support.fakes import BULK, message
from worker.domain.messages.message import Attempt, Lease, State
from worker.domain.messages.outcome import Blame, NotSent
from worker.domain.messages.writes import Finished
from worker.handlers.sweep import TRANSACTIONAL_LATER_S, WAITING_LATER_S
from worker.store.due import OPEN
from worker.store.replay import ReplayStore

if TYPE_CHECKING:
    from worker.store.client import Database

__all__ = ["desk", "desk_on_mongod"]  # fixtures


# --- leases ------------------------------------------------------------------------------------


async def test_a_living_lease_is_left_alone(desk: Desk) -> None:
    await desk.claim(**BULK)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.SUBMITTING


async def test_a_dead_bulk_lease_becomes_unknown_and_is_told(desk: Desk) -> None:
    await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.UNKNOWN
    assert desk.publisher.names == ["sms.unknown"]


async def test_a_dead_transactional_lease_is_left_to_its_redelivery_at_first(desk: Desk) -> None:
    await desk.claim()
    await desk.lease_died_ago(TRANSACTIONAL_LATER_S - 3)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.SUBMITTING
    await desk.lease_died_ago(TRANSACTIONAL_LATER_S + 1)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.UNKNOWN


async def test_two_sweepers_tell_it_once(desk: Desk, database_here: Database) -> None:
    for n in range(20):
        await desk.claim(f"m-{n}", **BULK)
    await desk.lease_died_ago(1)
    other = Desk(database_here)
    await other.messages.start()
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    await other.messages.stop()
    told = desk.publisher.events + other.publisher.events
    assert len(told) == len({event.id for event in told}) == 20


async def test_after_an_outage_leases_are_left_alone_for_one_lease(desk: Desk) -> None:
    await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    desk.sweeper.store_was_away()
    desk.later(seconds=LEASE_S - 1)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.SUBMITTING
    desk.later(seconds=1)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.UNKNOWN


async def test_looking_for_dead_leases_does_not_read_what_is_settled(desk_on_mongod: Desk) -> None:
    desk = desk_on_mongod
    for n in range(30):
        await desk.accepted(f"m-{n}")
    await desk.claim("m-last", **BULK)
    query = [
        {"$match": {"state": "submitting", "lane": "bulk", "claimedAt": {"$gt": Timestamp(0, 1)}}}
    ]
    explained = await desk.collection.database.command(
        {
            "explain": {"aggregate": "messages", "pipeline": query, "cursor": {}},
            "verbosity": "executionStats",
        }
    )
    assert explained["executionStats"]["totalDocsExamined"] == 1
    await desk.lease_died_ago(1)
    assert [record.id for record in await desk.due.dead_leases(extra_s=0, lane=B)] == ["m-last"]
    assert await desk.due.dead_leases(extra_s=0, lane=T) == []


# --- what is open ------------------------------------------------------------------------------


async def test_open_records_are_counted_by_state_and_settled_ones_not_even_read(
    desk_on_mongod: Desk,
) -> None:
    desk = desk_on_mongod
    began = desk.clock.now()
    for n in range(30):
        await desk.accepted(f"settled-{n}", pid=f"at-{n}")
    assert {s: o.count for s, o in (await desk.due.open_records()).items()} == dict.fromkeys(
        OPEN, 0
    )
    await desk.claim("in-a-call")
    await waits(desk, "waiting-1")
    await waits(desk, "waiting-2")
    await desk.settle(await desk.claim("unknown"), MAYBE, State.UNKNOWN, "sms.unknown")
    reported = await desk.claim("given-up")
    await desk.settle(reported, MAYBE, State.UNKNOWN, "sms.unknown")
    await desk.collection.update_one({"_id": "given-up"}, {"$unset": {"reportDue": ""}})

    found = await desk.due.open_records()

    assert {state: each.count for state, each in found.items()} == {
        State.SUBMITTING: 1, State.WAITING: 2, State.UNKNOWN: 1,
    }  # fmt: skip
    ages = [(each.oldest - began).total_seconds() for each in found.values() if each.oldest]
    assert len(ages) == len(OPEN)
    assert all(-1 < age < 300 for age in ages)
    for state, query in OPEN.items():
        explained = await desk.collection.database.command(
            {
                "explain": {"aggregate": "messages", "pipeline": [{"$match": query}], "cursor": {}},
                "verbosity": "executionStats",
            }
        )
        assert explained["executionStats"]["totalDocsExamined"] == found[state].count


async def test_the_oldest_of_a_state_is_the_one_created_first(desk: Desk) -> None:
    first = desk.clock.now()
    await waits(desk, "first")
    desk.later(seconds=500)
    await waits(desk, "second")
    oldest = (await desk.due.open_records())[State.WAITING].oldest
    assert oldest is not None
    assert abs((oldest - first).total_seconds()) < 250


async def test_who_settles_the_lease_of_a_dead_worker_counts_it_once(
    desk: Desk, database_here: Database
) -> None:
    await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    other = Desk(database_here)
    await other.messages.start()
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    await other.messages.stop()
    assert desk.messages.taken_over[B] + other.messages.taken_over[B] == 1
    assert desk.messages.taken_over[T] == 0


# --- waiting for a copy ------------------------------------------------------------------------

NOT_TAKEN = Finished(NotSent(Blame.PROVIDER, "503", "unavailable"), 5.0)
LIFE_S = 600
"""Of a message of these tests."""


async def waits(desk: Desk, ident: str = "m-1", **changes: Any) -> None:
    """A message that was surely not taken, whose copy is nowhere."""
    held = await desk.claim(ident, **changes)
    assert await desk.messages.wait(held, NOT_TAKEN, counted=True, lane=T) == 1


# --- waiting for a copy ------------------------------------------------------------------------


async def test_what_waits_is_left_to_its_copy_until_its_life_is_over_for_a_while(
    desk: Desk,
) -> None:
    await waits(desk)
    desk.later(seconds=LIFE_S + WAITING_LATER_S - 3)
    await desk.sweeper.sweep()
    assert ((await desk.look()).state, desk.publisher.names) == (State.WAITING, [])


async def test_what_waits_for_a_copy_that_never_comes_fails_with_an_event(desk: Desk) -> None:
    await waits(desk)
    desk.later(seconds=LIFE_S + WAITING_LATER_S + 1)
    await desk.sweeper.sweep()
    record = await desk.look()
    assert (record.state, [event.name for event in record.events]) == (State.FAILED, ["sms.failed"])
    assert desk.publisher.names == ["sms.failed"]
    assert desk.publisher.body()["reason"] == "its life ended before a provider took it"
    await left(desk, 0)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.failed"]


async def test_what_waits_and_was_never_called_expires(desk: Desk) -> None:
    replays = ReplayStore(desk.collection, desk.clock)
    assert await replays.begin(message(desk.clock)) == 1
    desk.later(seconds=LIFE_S + WAITING_LATER_S + 1)
    await desk.sweeper.sweep()
    assert ((await desk.look()).state, desk.publisher.names) == (State.EXPIRED, ["sms.expired"])


async def test_what_waits_and_may_have_been_taken_ends_as_unknown(desk: Desk) -> None:
    await desk.claim()
    await desk.lease_died_ago(TRANSACTIONAL_LATER_S + 1)
    await desk.sweeper.sweep()
    replays = ReplayStore(desk.collection, desk.clock)
    life = (await desk.look()).expires_at
    assert await replays.renew(await desk.look(), life, None) == 1
    desk.later(seconds=LIFE_S + WAITING_LATER_S + 1)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.UNKNOWN
    assert {event.id for event in desk.publisher.events} == {
        event.event_id for event in (await desk.look()).events
    }
    assert set(desk.publisher.names) == {"sms.unknown"}


async def test_two_sweepers_end_what_waits_once(desk: Desk, database_here: Database) -> None:
    for n in range(20):
        await waits(desk, f"m-{n}")
    other = Desk(database_here)
    await other.messages.start()
    for each in (desk, other):
        each.later(seconds=LIFE_S + WAITING_LATER_S + 1)
        # By these clocks an event is never too young to be announced again by the other sweeper.
        each.sweeper.broker_blocked(blocked=True)
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    await other.messages.stop()
    told = desk.publisher.events + other.publisher.events
    assert len(told) == len({event.id for event in told}) == 20


async def test_a_copy_that_went_on_meanwhile_is_not_ended(desk: Desk) -> None:
    await waits(desk)
    desk.later(seconds=LIFE_S + WAITING_LATER_S + 1)
    (stale,) = await desk.due.outlived(older_s=WAITING_LATER_S)
    held = await desk.messages.intend(stale, Attempt(2, "at", 1, "again"), lane=T)
    assert isinstance(held, Lease)
    assert await desk.messages.wait(held, NOT_TAKEN, counted=True, lane=T) == 2
    await desk.sweeper._outlived(stale)
    assert ((await desk.look()).state, desk.publisher.names) == (State.WAITING, [])


async def test_looking_for_what_waits_too_long_is_an_index_scan_of_those_alone(
    desk_on_mongod: Desk,
) -> None:
    desk = desk_on_mongod
    for n in range(30):
        await desk.accepted(f"m-{n}")
        await waits(desk, f"w-{n}")
    await waits(desk, "m-last", expires_at=desk.clock.now() - timedelta(seconds=90))
    before = desk.clock.now() - timedelta(seconds=WAITING_LATER_S)
    query = [{"$match": {"state": "waiting", "expiresAt": {"$lt": before}}}]
    explained = await desk.collection.database.command(
        {
            "explain": {"aggregate": "messages", "pipeline": query, "cursor": {}},
            "verbosity": "executionStats",
        }
    )
    assert "IXSCAN" in str(explained["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"])
    assert explained["executionStats"]["totalDocsExamined"] == 1
    found = await desk.due.outlived(older_s=WAITING_LATER_S)
    assert [record.id for record in found] == ["m-last"]
