"""Group commit on a real store: lost replies, cut connections, a server that goes away."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest
from bson.errors import BSONError
from pymongo.errors import BulkWriteError

from tests.support.fakes import HandClock, StoreTroubles, message, quietly
from tests.support.proxy import Proxy
from tests.support.waiting import until
from worker.domain.messages.message import Attempt, Lane, Lease, Record, State, StoredEvent
from worker.domain.messages.outcome import Accepted
from worker.domain.messages.writes import Finished
from worker.lab.local.database import Database as Server
from worker.service import Background
from worker.store import documents, messages
from worker.store.client import Database
from worker.store.committer import Committer, Insert
from worker.store.messages import MessageStore
from worker.store.states import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = Lane.TRANSACTIONAL
Document = dict[str, Any]


class Store:
    """A `MessageStore` whose connection goes through a proxy; and a look past it."""

    def __init__(self, database: Database, direct: Database) -> None:
        self.collection = direct[messages.COLLECTION]
        self.troubles = StoreTroubles()
        self.store = MessageStore(
            database[messages.COLLECTION],
            owner="ours",
            lease_s=60.0,
            retention=Retention(delivery_age_s=600, report_deadline_s=3600, keep_s=7200),
            clock=HandClock(),
            health=self.troubles,
            background=Background(),
            referenced=lambda _: None,
        )

    async def claim(self, ident: str, **changes: Any) -> Lease | Record:
        attempt = Attempt(1, "at", 1, "percentage")
        return await self.store.claim(message(HandClock(), ident, **changes), attempt)

    async def settle(self, lease: Lease | Record, name: str = "sms.sent") -> Record | None:
        assert isinstance(lease, Lease)
        event = StoredEvent(name, 1, "{}", "e-1")
        finished = Finished(Accepted("at-1"), 1.0)
        return await self.store.settle(lease, State.ACCEPTED, finished, (event,), lane=T)

    async def documents(self) -> dict[str, Document]:
        return {each["_id"]: each async for each in self.collection.find({})}


@pytest.fixture
async def direct(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    opened = Database(mongo_url, database_name, timeout_s=5)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


@pytest.fixture
async def proxy(mongo_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(mongo_url) as made:
        yield made


@pytest.fixture
async def through(proxy: Proxy, direct: Database, database_name: str) -> AsyncIterator[Store]:
    url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
    database = Database(url, database_name, timeout_s=1)
    made = Store(database, direct)
    await made.store.start()
    yield made
    proxy.lose_replies_to, proxy.stalled = None, False
    await made.store.stop()
    await database.close()


LOSSES = 5  # the driver repeats a write until its deadline by itself: more than it hides


# --- on the real store -------------------------------------------------------------------------


async def test_a_claim_whose_replies_are_lost_is_decided_and_won(
    through: Store, proxy: Proxy
) -> None:
    proxy.lose_replies_to, proxy.losses_left = b"\x02insert\x00", LOSSES
    held = await through.claim("m-1")
    assert isinstance(held, Lease)
    assert proxy.lost == LOSSES
    assert (await through.documents())["m-1"]["epoch"] == 1
    assert through.troubles[0] is not None
    assert through.troubles[-1] is None


async def test_of_a_batch_whose_replies_are_lost_each_gets_the_truth(
    through: Store, proxy: Proxy
) -> None:
    await through.collection.insert_one(
        {**(await _foreign(through)), "_id": "taken", "owner": "theirs", "token": "theirs"}
    )
    proxy.lose_replies_to, proxy.losses_left = b"\x02insert\x00", LOSSES
    idents = [f"m-{n}" for n in range(20)]
    ends = await asyncio.gather(*(through.claim(ident) for ident in ("taken", *idents)))
    assert isinstance(ends[0], Record)
    assert ends[0].owner == "theirs"
    assert all(isinstance(end, Lease) for end in ends[1:])


async def _foreign(through: Store) -> Document:
    await through.claim("pattern")
    return await through.collection.find_one_and_delete({"_id": "pattern"})


async def test_an_outcome_whose_replies_are_lost_is_written_once(
    through: Store, proxy: Proxy
) -> None:
    held = await through.claim("m-1")
    proxy.lose_replies_to, proxy.losses_left = b"\x02update\x00", LOSSES
    assert await through.settle(held) is None
    found = (await through.documents())["m-1"]
    assert (found["state"], len(found["events"]), len(found["unconfirmed"])) == ("accepted", 1, 1)


async def test_an_outcome_that_lost_while_replies_are_lost_is_told_so(
    through: Store, proxy: Proxy
) -> None:
    held = await through.claim("m-1")
    await through.collection.update_one({"_id": "m-1"}, {"$set": {"epoch": 2, "owner": "theirs"}})
    proxy.lose_replies_to, proxy.losses_left = b"\x02update\x00", LOSSES
    stands = await through.settle(held)
    assert stands is not None
    assert (stands.owner, stands.epoch, stands.events) == ("theirs", 2, ())


async def test_reading_back_is_repeated_too(through: Store, proxy: Proxy) -> None:
    await through.claim("m-1")
    proxy.lose_replies_to, proxy.losses_left = b"\x02aggregate\x00", LOSSES
    stands = await through.claim("m-1")
    assert isinstance(stands, Record)
    assert stands.owner == "ours"
    proxy.losses_left = LOSSES
    assert await through.store.look("m-1") is not None
    held = await through.claim("m-2")
    await through.collection.update_one({"_id": "m-2"}, {"$set": {"epoch": 9}})
    proxy.losses_left = LOSSES
    assert await through.settle(held) is not None


async def test_connections_cut_in_mid_traffic_lose_and_double_nothing(
    through: Store, proxy: Proxy
) -> None:
    async def live(ident: str) -> None:
        held = await through.claim(ident)
        assert isinstance(held, Lease)
        assert await through.settle(held) is None

    async def cutting() -> None:
        while True:
            await asyncio.sleep(0.03)  # the fault comes by the clock, wherever the work is
            proxy.cut()

    cutter = asyncio.create_task(cutting())
    try:
        async with asyncio.timeout(60):
            for wave in range(5):
                await asyncio.gather(*(live(f"m-{wave}-{n}") for n in range(40)))
    finally:
        cutter.cancel()
        await quietly(cutter)
    found = await through.documents()
    assert len(found) == 200
    assert {each["state"] for each in found.values()} == {"accepted"}
    assert {len(each["events"]) for each in found.values()} == {1}


async def test_a_network_that_takes_and_says_nothing_is_waited_through(
    through: Store, proxy: Proxy
) -> None:
    await through.claim("m-0")
    proxy.stalled = True
    task = asyncio.create_task(through.claim("m-1"))
    await until(lambda: through.troubles and through.troubles[-1] is not None)
    assert not task.done()
    proxy.stalled = False
    proxy.cut()
    assert isinstance(await task, Lease)


async def test_a_document_that_cannot_be_encoded_fails_alone(through: Store, proxy: Proxy) -> None:
    del proxy
    bad: list[Any] = [2**70, {"a\x00b": 1}, "\ud800"]
    ends = await asyncio.gather(
        through.claim("m-1"),
        *(through.claim(f"bad-{n}", branch_id=value) for n, value in enumerate(bad)),
        through.claim("m-2"),
        return_exceptions=True,
    )
    assert [type(end) for end in (ends[0], ends[-1])] == [Lease, Lease]
    assert all(isinstance(end, BSONError | ValueError | OverflowError) for end in ends[1:-1])
    assert set(await through.documents()) == {"m-1", "m-2"}


async def test_what_lost_to_a_record_that_is_gone_is_no_win(through: Store, proxy: Proxy) -> None:
    del proxy
    held = await through.claim("m-1")
    await through.collection.delete_one({"_id": "m-1"})
    with pytest.raises(KeyError):
        await through.settle(held)


async def test_of_two_stores_with_lost_replies_one_wins_each_id(
    through: Store, proxy: Proxy, direct: Database
) -> None:
    rival = Store(direct, direct)
    rival.store._owner = "theirs"
    await rival.store.start()
    proxy.lose_replies_to, proxy.losses_left = b"\x02insert\x00", LOSSES
    idents = [f"m-{n}" for n in range(60)]
    ends = await asyncio.gather(
        *(each.claim(ident) for ident in idents for each in (through, rival))
    )
    winners = sorted(end.message_id for end in ends if isinstance(end, Lease))
    await rival.store.stop()
    assert winners == sorted(idents)


async def test_an_insert_the_server_refuses_is_repeated_until_it_takes_it(
    direct: Database,
) -> None:
    """Not acknowledged by a majority: nothing is known, whatever else the reply says."""
    troubles = StoreTroubles()
    committer = Committer(Unacknowledged(direct["things"]), documents.VIEW, troubles)
    ops = [Insert.of({"_id": ident, "token": ident}) for ident in ("a", "b")]
    assert await committer.insert(ops) == {"a": None, "b": None}
    assert troubles[:2] == ["insert not acknowledged (codes [])", None]


class Unacknowledged:
    """A collection whose first insert is written, but not by a majority."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._first = True

    async def insert_many(self, batch: Any, *, ordered: bool) -> Any:
        await self._collection.insert_many(batch, ordered=ordered)
        if self._first:
            self._first = False
            raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]})
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


@pytest.fixture
async def server(tmp_path: Any) -> AsyncIterator[Server]:
    made = Server(tmp_path / "database")
    try:
        await made.start()
        yield made
    finally:
        for child in made.children:
            if child._id is not None:
                child._id.signal(signal.SIGCONT)
        await made.stop()


# --- a server that goes away -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_a_server_that_goes_away_in_mid_batch_loses_nothing(server: Server, how: str) -> None:
    database = Database(server.url, "private", timeout_s=2)
    made = Store(database, database)
    await made.store.start()
    done: list[str] = []

    async def live(ident: str) -> None:
        held = await made.claim(ident)
        assert isinstance(held, Lease)
        assert await made.settle(held) is None
        done.append(ident)

    work: list[asyncio.Task[None]] = []

    def in_trouble() -> bool:
        return bool(made.troubles and made.troubles[-1] is not None)

    async def flow() -> None:
        """Until the server is missed: whenever it goes, it goes in mid-batch."""
        while not in_trouble():
            work.append(asyncio.create_task(live(f"m-{len(work)}")))
            await asyncio.sleep(0.001)  # the load: a thousand a second at most

    async with asyncio.timeout(90):
        flowing = asyncio.create_task(flow())
        await until(lambda: len(done) > 0)
        if how == "killed":
            await server.kill()
            await flowing
            await server.start()
        else:
            (child,) = server.children
            assert child._id is not None
            child._id.signal(signal.SIGSTOP)
            await flowing
            child._id.signal(signal.SIGCONT)
        await asyncio.gather(*work)
    found = await made.documents()
    await made.store.stop()
    await database.close()
    assert len(found) == len(work)
    assert {(each["state"], len(each["events"])) for each in found.values()} == {("accepted", 1)}
    assert made.troubles[-1] is None


async def test_a_stop_while_the_store_is_away_ends(server: Server) -> None:
    database = Database(server.url, "private", timeout_s=0.5)
    made = Store(database, database)
    await made.store.start()
    await made.claim("m-0")
    await server.kill()
    task = asyncio.create_task(made.claim("m-1"))
    await until(lambda: made.troubles and made.troubles[-1] is not None)
    await asyncio.wait_for(made.store.stop(within_s=0.5), 20)
    task.cancel()
    await quietly(task)
    await database.close()


async def test_a_client_of_a_server_that_says_nothing_is_closed_all_the_same(
    proxy: Proxy, database_name: str
) -> None:
    url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
    database = Database(url, database_name, timeout_s=0.5)
    await database.ping()
    proxy.stalled = True
    async with asyncio.timeout(5):
        await database.close()
