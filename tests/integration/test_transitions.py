"""The table of the record's transitions, walked on the real stores and on the stand-in.

Every record state is met by every write. What is in the table happens; everything else is refused
and changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from bson import Timestamp

from tests.support.fakes import HandClock, StoreTroubles, message
from worker.clock import SystemClock
from worker.domain.messages.message import Attempt, Delivery, Lane, Lease, Record, State
from worker.domain.messages.outcome import Blame, NotSent
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.transitions import TRANSITIONS, NoSuchTransition, Write, starts
from worker.domain.messages.writes import Finished, TerminalWrite
from worker.service import Background
from worker.store import messages
from worker.store.due import DueStore
from worker.store.memory import MemoryMessages, Shelf
from worker.store.messages import MessageStore
from worker.store.replay import ReplayStore
from worker.store.states import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from worker.ports.messages import Messages
    from worker.store.client import Database

LEASE_S = 60.0
LANE = Lane.TRANSACTIONAL
PROOF = Finished(NotSent(Blame.PROVIDER, "503", "unavailable"), 20.0)
REPORT = DeliveryReport("at", Delivery.SUBMITTED, "Buffered", provider_message_id="at-1")
INSERTS = (Write.CLAIM, Write.CLOSE_NEW, Write.REPLAY_NEW)
ANY_END = (Write.CLOSE_NEW, Write.SETTLE, Write.CLOSE)
"""Writes that are told the state they lead to; every other write has one of its own."""
FROM_A_READ = (Write.RESUME, Write.PROVE, Write.REPLAY)
"""Writes that go on from the record as it was read, and so compare with the state it had."""


def ends(write: Write) -> set[State]:
    """The states one can ask a write for."""
    return set(State) if write in ANY_END else {end for _, w, end in TRANSITIONS if w is write}


def attempt(epoch: int) -> Attempt:
    return Attempt(epoch, "at", 1, "percentage")


class Subject(Protocol):
    """Records somewhere, one for each cell of the table."""

    writes: tuple[Write, ...]
    """What is written there."""
    messages: Messages

    async def put(self, ident: str, state: State) -> None:
        """Store a record of ours that stands in a state; its lease is over."""
        ...

    async def stored(self, ident: str) -> Any:
        """All that is stored of it."""
        ...

    async def report(self, record: Record) -> object:
        """Prove by a delivery report that it was taken."""
        ...

    async def replay(self, ident: str, record: Record | None) -> object:
        """Give it another life; None: there is no record."""
        ...


class InMemory:
    writes = tuple(w for w in Write if w not in {Write.PROVE, Write.REPLAY, Write.REPLAY_NEW})

    def __init__(self) -> None:
        self.clock = HandClock()
        self.shelf: Shelf = {}
        self.messages = MemoryMessages(self.shelf, owner="ours", lease_s=LEASE_S, clock=self.clock)

    async def put(self, ident: str, state: State) -> None:
        await self.messages.claim(message(self.clock, ident), attempt(1))
        kept = self.shelf[ident]
        kept.record, kept.lease_ends = replace(kept.record, state=state), float("-inf")

    async def stored(self, ident: str) -> Any:
        kept = self.shelf.get(ident)
        return kept and kept.record

    async def report(self, record: Record) -> object:
        raise NotImplementedError(record)

    async def replay(self, ident: str, record: Record | None) -> object:
        raise NotImplementedError(ident, record)


class OnMongo:
    writes = tuple(Write)

    def __init__(self, database: Database) -> None:
        clock = SystemClock()
        self.collection = database[messages.COLLECTION]
        self.messages = MessageStore(
            self.collection,
            owner="ours",
            lease_s=LEASE_S,
            retention=Retention(delivery_age_s=600, report_deadline_s=3600, keep_s=7200),
            clock=clock,
            health=StoreTroubles(),
            background=Background(),
            referenced=lambda _: None,
        )
        self.due = DueStore(self.collection, clock, report_deadline_s=3600)
        self.replays = ReplayStore(self.collection, clock)

    async def put(self, ident: str, state: State) -> None:
        await self.messages.claim(message(HandClock(), ident), attempt(1))
        changes = {"state": str(state), "claimedAt": Timestamp(1, 1)}
        await self.collection.update_one({"_id": ident}, {"$set": changes})

    async def stored(self, ident: str) -> Any:
        return await self.collection.find_one({"_id": ident})

    async def report(self, record: Record) -> object:
        return await self.due.report(record, 1, REPORT, (), proves=True)

    async def replay(self, ident: str, record: Record | None) -> object:
        if record is None:
            return await self.replays.begin(message(HandClock(), ident))
        return await self.replays.renew(record, record.expires_at, None)


class OnSimulated(OnMongo):
    """The same store on the simulated database."""


@pytest.fixture
async def mongo(mongod_empty: Database) -> AsyncIterator[OnMongo]:
    made = OnMongo(mongod_empty)
    await made.messages.start()
    yield made
    await made.messages.stop()


@pytest.fixture
async def simulated(simulated_empty: Database) -> AsyncIterator[OnSimulated]:
    made = OnSimulated(simulated_empty)
    await made.messages.start()
    yield made
    await made.messages.stop()


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param is InMemory:
        return InMemory()
    made: Subject = request.getfixturevalue("mongo" if request.param is OnMongo else "simulated")
    return made


def every(*writes: Write) -> pytest.MarkDecorator:
    """Each of these writes, wherever it is written."""
    pairs = [
        (where, w)
        for where in (InMemory, OnMongo, OnSimulated)
        for w in writes
        if w in where.writes
    ]
    names = [f"{where.__name__}-{write}" for where, write in pairs]
    return pytest.mark.parametrize(("subject", "write"), pairs, indirect=["subject"], ids=names)


def asked(subject: Subject, ident: str, record: Record, end: State) -> dict[Write, Any]:
    """Every write, as a call on a record that was read like this."""
    store = subject.messages
    lease = Lease(ident, "ours", 1, float("inf"))
    new = message(HandClock(), ident)
    return {
        Write.CLAIM: lambda: store.claim(new, attempt(1)),
        Write.CLOSE_NEW: lambda: store.close_new(TerminalWrite(ident, end, (), new)),
        Write.REPLAY_NEW: lambda: subject.replay(ident, None),
        Write.INTEND: lambda: store.intend(lease, attempt(2), PROOF, lane=LANE),
        Write.RESUME: lambda: store.intend(record, attempt(2), lane=LANE),
        Write.SETTLE: lambda: store.settle(lease, end, PROOF, (), lane=LANE),
        Write.WAIT: lambda: store.wait(lease, PROOF, counted=True, lane=LANE),
        Write.CLOSE: lambda: store.close(record, end, ()),
        Write.DECLARE_UNKNOWN: lambda: store.declare_unknown(record, ()),
        Write.PROVE: lambda: subject.report(record),
        Write.REPLAY: lambda: subject.replay(ident, record),
    }


async def tried(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether the table has what the call asks for."""
    try:
        await call()
    except NoSuchTransition:
        return False
    return True


async def walked(subject: Subject, write: Write, start: State | None, end: State) -> None:
    """One cell: it happens where the table has it, else nothing is changed."""
    ident = f"{start}-{end}"
    if start is not None:
        await subject.put(ident, start)
    before = await subject.stored(ident)
    nobody = message(HandClock(), ident)
    read = await subject.messages.look(ident) or Record(
        ident, nobody.fingerprint, nobody.recipient, LANE, nobody.on_unknown, end, nobody.expires_at
    )
    possible = await tried(asked(subject, ident, read, end)[write])
    after, record = await subject.stored(ident), await subject.messages.look(ident)
    cell = f"{start} {write} {end}"
    if (start, write, end) in TRANSITIONS:
        assert possible, cell
        assert after != before, cell
        assert record is not None, cell
        assert record.state is end, cell
    else:
        assert after == before, cell
        if write in FROM_A_READ:
            assert not possible, cell


@every(*Write)
async def test_each_write_does_what_the_table_has_and_nothing_else(
    subject: Subject, write: Write
) -> None:
    found_in = (None, *State) if write in INSERTS else tuple(State)
    cells = [(start, end) for start in found_in for end in ends(write)]
    await asyncio.gather(*(walked(subject, write, start, end) for start, end in cells))


@every(*FROM_A_READ)
async def test_a_record_that_changed_since_it_was_read_is_left_alone(
    subject: Subject, write: Write
) -> None:
    (end,) = ends(write)
    for stands in State:
        for was in starts(write, end) - {stands}:
            ident = f"{stands}-{was}"
            await subject.put(ident, stands)
            before, read = await subject.stored(ident), await subject.messages.look(ident)
            assert read is not None
            await asked(subject, ident, replace(read, state=was), end)[write]()
            assert await subject.stored(ident) == before, f"{stands}, read as {was}"


@every(*ANY_END)
async def test_an_end_that_a_write_cannot_lead_to_is_an_error(
    subject: Subject, write: Write
) -> None:
    possible = {end for _, w, end in TRANSITIONS if w is write}
    for end in set(State) - possible:
        await subject.put(str(end), State.WAITING)
        read = await subject.messages.look(str(end))
        assert read is not None
        ident = "new" if write in INSERTS else str(end)
        assert not await tried(asked(subject, ident, read, end)[write]), end
