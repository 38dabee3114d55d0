"""What the tests of stored records share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bson import Timestamp

from tests.support.fakes import HandClock, StoreTroubles, message
from worker.clock import SystemClock
from worker.domain.messages.message import Attempt, Lane, Lease, Record, StoredEvent
from worker.domain.messages.outcome import Accepted, Blame, Money, NotSent, Refused, Unknown
from worker.domain.messages.writes import Finished
from worker.service import Background
from worker.store import messages
from worker.store.memory import MemoryMessages, Shelf
from worker.store.messages import MessageStore
from worker.store.states import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.store.client import Database

LEASE_S = 60.0
T = Lane.TRANSACTIONAL
RETENTION = Retention(delivery_age_s=600, report_deadline_s=48 * 3600, keep_s=30 * 86_400)
TAKEN = Finished(Accepted("at-1", Money(Decimal("0.04"), "ZMW"), 1), 10.0)
SICK = Finished(NotSent(Blame.PROVIDER, "503", "unavailable"), 20.0)
MAYBE = Finished(Unknown("timeout", "no answer"), 30.0)
REFUSED = Finished(Refused("403", "bad"), 40.0)


def attempt(epoch: int = 1, provider: str = "at", **changes: Any) -> Attempt:
    return replace(Attempt(epoch, provider, 1, "percentage", eligible=epoch == 1), **changes)


def event(name: str = "sms.sent", ordinal: int = 1) -> StoredEvent:
    return StoredEvent(name, ordinal, f'{{"event":"{name}"}}', f"{name}-{ordinal}")


class InMemory:
    """Two owners over one shelf."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.shelf: Shelf = {}
        self.ours, self.theirs = (
            MemoryMessages(self.shelf, owner=owner, lease_s=LEASE_S, clock=self.clock)
            for owner in ("ours", "theirs")
        )

    async def end_leases(self) -> None:
        self.clock.advance(LEASE_S + 2)

    async def late(self, ident: str, epoch: int) -> list[str]:
        return [finished.outcome.code for finished in self.shelf[ident].late.get(epoch, [])]

    async def unconfirmed(self, ident: str) -> int:
        kept = self.shelf[ident]
        return len({each.event_id for each in kept.record.events} - kept.confirmed)


class OnMongo:
    """Two owners over one collection."""

    def __init__(self, database: Database) -> None:
        self.clock = SystemClock()
        self.collection = database[messages.COLLECTION]
        self.troubles = StoreTroubles()
        self.referenced: list[str] = []
        self.ours, self.theirs = (self.owned_by(owner) for owner in ("ours", "theirs"))

    def owned_by(self, owner: str, lease_s: float = LEASE_S, clock: Any = None) -> MessageStore:
        return MessageStore(
            self.collection,
            owner=owner,
            lease_s=lease_s,
            retention=RETENTION,
            clock=clock or self.clock,
            health=self.troubles,
            background=Background(),
            referenced=self.referenced.append,
        )

    async def end_leases(self) -> None:
        await self.collection.update_many({}, {"$set": {"claimedAt": Timestamp(1, 1)}})

    async def late(self, ident: str, epoch: int) -> list[str]:
        found = (await self.document(ident))["attempts"][str(epoch)]
        return [found["late"]["code"]] if "late" in found else []

    async def unconfirmed(self, ident: str) -> int:
        return len((await self.document(ident))["unconfirmed"])

    async def document(self, ident: str) -> dict[str, Any]:
        return await self.collection.find_one({"_id": ident})


Desk = InMemory | OnMongo


async def claimed(desk: Desk, ident: str = "m-1", **changes: Any) -> Lease:
    held = await desk.ours.claim(message(HandClock(), ident, **changes), attempt())
    assert isinstance(held, Lease)
    return held


async def looked(desk: Desk, ident: str = "m-1") -> Record:
    found = await desk.theirs.look(ident)
    assert found is not None
    return found


async def waiting(desk: Desk) -> Record:
    assert await desk.ours.wait(await claimed(desk), SICK, counted=True, lane=T) == 1
    return await looked(desk)


async def unknown(desk: Desk) -> tuple[Lease, Record]:
    held = await claimed(desk)
    await desk.end_leases()
    record = await looked(desk)
    assert await desk.theirs.declare_unknown(record, (event("sms.unknown"),)) is None
    return held, await looked(desk)


@pytest.fixture
async def mongo(database_here: Database) -> AsyncIterator[OnMongo]:
    async with opened(database_here) as made:
        yield made


@pytest.fixture
async def on_mongod(mongod_here: Database) -> AsyncIterator[OnMongo]:
    async with opened(mongod_here) as made:
        yield made


@pytest.fixture
async def on_simulated(simulated_here: Database) -> AsyncIterator[OnMongo]:
    async with opened(simulated_here) as made:
        yield made


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[OnMongo]:
    made = OnMongo(database)
    await made.ours.start()
    await made.theirs.start()
    yield made
    await made.ours.stop()
    await made.theirs.stop()


@pytest.fixture(params=["memory", "on_mongod", "on_simulated"])
def desk(request: pytest.FixtureRequest) -> InMemory | OnMongo:
    if request.param == "memory":
        return InMemory()
    made: OnMongo = request.getfixturevalue(request.param)
    return made
