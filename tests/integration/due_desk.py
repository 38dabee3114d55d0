"""A sweeper over a real store, for the tests of what is due."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import Timestamp

from tests.support.fakes import KEY, Meter, Publisher, StoreTroubles, Suppressed, message
from tests.support.waiting import until_equal
from worker.clock import SystemClock
from worker.domain.messages.message import Attempt, Lane, Lease, Record, State, StoredEvent
from worker.domain.messages.outcome import Accepted, Unknown
from worker.domain.messages.writes import Finished
from worker.handlers.accepted_references import AcceptedReferences
from worker.handlers.consent import Wishes
from worker.handlers.delivery_report_matcher import Matcher
from worker.handlers.message_events import Announcer
from worker.handlers.sweep import Sweeper
from worker.numbers import normaliser
from worker.service import Background
from worker.store import messages, reports
from worker.store.due import DueStore
from worker.store.messages import MessageStore
from worker.store.reports import ReportStore
from worker.store.states import Retention
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.store.client import Database

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
            alerts=None,  # no callback is read here
            clock=self.clock,
        )

    def later(self, **by: float) -> None:
        self.clock.by += timedelta(**by)

    async def claim(self, ident: str = "m-1", provider: str = "at", **changes: Any) -> Lease:
        asked = message(self.clock, ident, **changes)
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


async def left(desk: Desk, count: int) -> None:
    async def left() -> int:
        return len((await desk.collection.find_one({"_id": "m-1"}))["unconfirmed"])

    await until_equal(left, count, 10)


@pytest.fixture
async def desk(database_here: Database) -> AsyncIterator[Desk]:
    async with opened(database_here) as made:
        yield made


@pytest.fixture
async def desk_on_mongod(mongod_here: Database) -> AsyncIterator[Desk]:
    """For tests of how the real database reads."""
    async with opened(mongod_here) as made:
        yield made


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    await made.messages.start()
    yield made
    await made.messages.stop()
