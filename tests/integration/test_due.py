"""The sweeper on the real store: what no delivery will come for any more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import Timestamp

from tests.support.fakes import BULK, KEY, Meter, Publisher, StoreTroubles, Suppressed, message
from tests.support.waiting import until, until_equal
from worker.clock import SystemClock
from worker.domain.messages.message import (
    Attempt,
    Delivery,
    Lane,
    Lease,
    Record,
    State,
    StoredEvent,
)
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Refused, Unknown
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.writes import Finished
from worker.domain.migration.phases import Role
from worker.handlers.accepted_references import AcceptedReferences
from worker.handlers.consent import Wishes
from worker.handlers.delivery_report_matcher import Matcher
from worker.handlers.message_events import Announcer
from worker.handlers.sweep import (
    CONFIRM_LATER_S,
    TRANSACTIONAL_LATER_S,
    WAITING_LATER_S,
    Sweeper,
)
from worker.numbers import normaliser
from worker.ports.store import StoreUnavailable
from worker.service import Background
from worker.store import indexes, messages, reports
from worker.store.client import Database
from worker.store.due import OPEN, DueStore
from worker.store.messages import MessageStore
from worker.store.replay import ReplayStore
from worker.store.reports import ReportStore
from worker.store.states import Retention
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.ports.broker import Event

T, B = Lane.TRANSACTIONAL, Lane.BULK
TAKEN = Finished(Accepted("at-1"), 10.0)
MAYBE = Finished(Unknown("timeout", "no answer"), 30.0)
LEASE_S = 60.0


class Ahead(SystemClock):
    """The machine's clock, set forward by the test."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> Any:
        return super().now() + self.by

    def monotonic(self) -> float:
        return super().monotonic() + self.by.total_seconds()


class Desk:
    """One replica's sweeper over a real database, a publisher of our own beside it."""

    def __init__(self, database: Database) -> None:
        self.clock = Ahead()
        self.collection = database[messages.COLLECTION]
        self.references = AcceptedReferences()
        self.messages = MessageStore(
            self.collection,
            owner="ours",
            lease_s=LEASE_S,
            retention=Retention(delivery_age_s=600, report_deadline_s=3600, keep_s=7200),
            clock=self.clock,
            health=StoreTroubles(),
            background=Background(),
            referenced=self.references.add,
        )
        self.due = DueStore(self.collection, self.clock, report_deadline_s=3600)
        self.reports = ReportStore(database[reports.COLLECTION], self.clock, keep_s=7200)
        self.publisher, self.meter = Publisher(), Meter()
        self.suppressed = Suppressed()
        announcer = Announcer(self.publisher, self.messages)
        self.background = Background()
        self.sweeper = Sweeper(
            due=self.due,
            messages=self.messages,
            reports=self.reports,
            matcher=Matcher(
                self.due,
                self.reports,
                announcer,
                self.wishes(),
                self.clock,
                Tracing(None, ratio=0, replica="t"),
            ),
            announcer=announcer,
            meter=self.meter,
            reporting=frozenset({"at"}),
            clock=self.clock,
            background=self.background,
            lease_s=LEASE_S,
            references=self.references,
        )

    def wishes(self) -> Wishes:
        return Wishes(
            suppressions=self.suppressed,
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            alerts=None,  # type: ignore[arg-type] # no callback is read here
            clock=self.clock,
        )

    def later(self, **by: float) -> None:
        self.clock.by += timedelta(**by)

    async def claim(self, ident: str = "m-1", provider: str = "at", **changes: Any) -> Lease:
        asked = message(self.clock, ident, **changes)  # type: ignore[arg-type]
        held = await self.messages.claim(
            asked, Attempt(1, provider, 1, "percentage", at=self.clock.now(), sender_id="PROMO")
        )
        assert isinstance(held, Lease)
        return held

    async def settle(self, held: Lease, finished: Finished, state: State, *names: str) -> None:
        events = tuple(
            replace(EVENT, name=name, event_id=f"{held.message_id}-{name}") for name in names
        )
        assert await self.messages.settle(held, state, finished, events, lane=T) is None

    async def accepted(
        self, ident: str = "m-1", provider: str = "at", pid: str = "at-1", **changes: Any
    ) -> None:
        held = await self.claim(ident, provider, **changes)
        await self.settle(held, Finished(Accepted(pid), 1.0), State.ACCEPTED)

    async def lease_died_ago(self, seconds: float) -> None:
        """As the server sees it: claimed that much longer ago than a lease lasts."""
        now = (await self.collection.database.command("hello"))["localTime"].timestamp()
        claimed = Timestamp(int(now - seconds - LEASE_S - 1), 1)
        await self.collection.update_many({}, {"$set": {"claimedAt": claimed}})

    async def look(self, ident: str = "m-1") -> Record:
        found = await self.messages.look(ident)
        assert found is not None
        return found


EVENT = StoredEvent("sms.sent", 1, "{}", "e-1")


@pytest.fixture
async def database_here(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    opened = Database(mongo_url, database_name, timeout_s=5)
    await indexes.create(opened)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


@pytest.fixture
async def desk(database_here: Database) -> AsyncIterator[Desk]:
    made = Desk(database_here)
    await made.messages.start()
    yield made
    await made.messages.stop()


# --- leases ----------------------------------------------------------------------------------


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


async def test_looking_for_dead_leases_does_not_read_what_is_settled(desk: Desk) -> None:
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


async def test_open_records_are_counted_by_state_and_settled_ones_not_even_read(desk: Desk) -> None:
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
    await _left(desk, 0)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.failed"]


async def test_what_waits_and_was_never_called_expires(desk: Desk) -> None:
    replays = ReplayStore(desk.collection, desk.clock)
    assert await replays.begin(message(desk.clock)) == 1  # type: ignore[arg-type]
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
    desk: Desk,
) -> None:
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


# --- events ----------------------------------------------------------------------------------


async def test_what_was_never_confirmed_is_published_again(desk: Desk) -> None:
    held = await desk.claim()
    await desk.settle(held, TAKEN, State.ACCEPTED, "sms.sent", "sms.other")
    await desk.sweeper.sweep()
    assert desk.publisher.names == []  # its publisher may still be at it
    desk.messages.confirmed("m-1", (replace(EVENT, event_id="m-1-sms.other"),))
    desk.later(seconds=CONFIRM_LATER_S + 1)
    await _left(desk, 1)
    await desk.sweeper.sweep()
    assert [event.id for event in desk.publisher.events] == ["m-1-sms.sent"]
    await _left(desk, 0)
    await desk.sweeper.sweep()
    assert len(desk.publisher.events) == 1


async def _left(desk: Desk, count: int) -> None:
    async def left() -> int:
        return len((await desk.collection.find_one({"_id": "m-1"}))["unconfirmed"])

    await until_equal(left, count, 10)


async def test_while_the_broker_takes_nothing_and_soon_after_nothing_is_announced_again(
    desk: Desk,
) -> None:
    await desk.settle(await desk.claim(), TAKEN, State.ACCEPTED, "sms.sent")
    desk.later(seconds=CONFIRM_LATER_S + 1)
    desk.sweeper.broker_blocked(blocked=True)
    await desk.sweeper.sweep()
    desk.sweeper.broker_blocked(blocked=False)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []
    desk.later(seconds=CONFIRM_LATER_S + 1)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.sent"]


async def test_a_list_that_grew_old_over_one_slow_event_is_read_anew_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ident in ("m-1", "m-2"):
        await desk.settle(await desk.claim(ident), TAKEN, State.ACCEPTED, "sms.sent")
    desk.later(seconds=CONFIRM_LATER_S + 1)
    publish = desk.publisher.event

    async def slowly(event: Event) -> None:
        desk.later(seconds=60)
        await publish(event)

    monkeypatch.setattr(desk.publisher, "event", slowly)
    await desk.sweeper.sweep()
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.sent"]


# --- judged, unreported ------------------------------------------------------------------------


async def test_an_accepted_attempt_is_judged_once_at_the_delivery_age(
    desk: Desk, database_here: Database
) -> None:
    for n in range(10):
        await desk.accepted(f"m-{n}")
    await desk.sweeper.sweep()
    assert desk.meter.judgements == []
    other = Desk(database_here)
    for each in (desk, other):
        each.later(seconds=601)
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    assert desk.meter.judgements + other.meter.judgements == [("at", False)] * 10
    await desk.sweeper.sweep()
    assert len(desk.meter.judgements) + len(other.meter.judgements) == 10


async def test_what_was_delivered_counts_as_delivered(desk: Desk) -> None:
    await desk.accepted()
    report = DeliveryReport("at", Delivery.DELIVERED, "Success", "at-1")
    assert await desk.due.report(await desk.look(), 1, report, (), proves=False)
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert desk.meter.judgements == [("at", True)]


async def test_a_probe_is_judged_apart(desk: Desk) -> None:
    await desk.accepted(probe=Role.TARGET)
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert (desk.meter.judgements, desk.meter.probes_judged) == ([], [("at", False)])


async def test_a_provider_without_reports_is_not_judged(desk: Desk) -> None:
    await desk.accepted(provider="old")
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert desk.meter.judgements == []


async def test_at_the_deadline_what_nobody_reported_is_told_so_once(
    desk: Desk, database_here: Database
) -> None:
    await desk.accepted()
    held = await desk.claim("m-2")
    await desk.settle(held, MAYBE, State.UNKNOWN)
    other = Desk(database_here)
    for each in (desk, other):
        each.later(seconds=3601)
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    await desk.sweeper.sweep()
    told = {(event.key, event.id) for each in (desk, other) for event in each.publisher.events}
    assert sorted(key for key, _ in told) == ["sms.unreported", "sms.unreported"]
    assert len((await desk.look()).events) == 1


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.UNDELIVERED])
async def test_what_was_reported_is_not_unreported(desk: Desk, delivery: Delivery) -> None:
    await desk.accepted()
    report = DeliveryReport("at", delivery, "Final", "at-1")
    await desk.due.report(await desk.look(), 1, report, (), proves=False)
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []


async def test_of_a_provider_without_reports_nothing_is_unreported(desk: Desk) -> None:
    await desk.accepted(provider="old")
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []


async def test_what_failed_after_it_was_called_unknown_is_not_unreported(desk: Desk) -> None:
    held = await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    await desk.sweeper.sweep()
    await desk.settle(held, Finished(Refused("403", "bad"), 1.0), State.FAILED, "sms.failed")
    desk.messages.confirmed("m-1", (await desk.look()).events)
    await _left(desk, 0)
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.unknown"]


# --- the loops -------------------------------------------------------------------------------


async def test_a_started_sweeper_sweeps_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.sweep.EVERY_S", 0.01)
    await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    await desk.sweeper.start()  # leases are left alone for the time of one: holders may be late
    assert desk.sweeper._judge_leases_from > desk.clock.monotonic() + LEASE_S - 1
    desk.sweeper._judge_leases_from = desk.clock.monotonic()  # the lease is over
    await until_equal(lambda: desk.publisher.names, ["sms.unknown"], 10)
    await desk.sweeper.drain()
    await desk.sweeper.stop()
    await desk.sweeper.stop()
    await desk.background.stop()


async def test_a_store_that_is_away_is_swept_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.sweep.EVERY_S", 0.01)
    times = 0

    async def away() -> None:
        nonlocal times
        times += 1
        raise StoreUnavailable("test")

    monkeypatch.setattr(desk.sweeper, "sweep", away)
    await desk.sweeper.start()
    await until(lambda: times >= 3, 10)
    assert desk.sweeper._judge_leases_from > desk.clock.monotonic()
    await desk.sweeper.stop()
