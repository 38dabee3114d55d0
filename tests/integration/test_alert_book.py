"""The book of alerts: the same from a real database as from memory."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.alert_fakes import MemoryBook
from worker.clock import SystemClock
from worker.domain.alerts.notices import SAME_S, Alert, AlertObservation, Kind, due
from worker.ports.store import StoreUnavailable
from worker.store import alerts, indexes
from worker.store.alerts import AlertStore
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from worker.ports.alerts import AlertBook

    Open = Callable[[str], AlertBook]

CLOCK = SystemClock()
HOLD = timedelta(0)


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Database]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    made = Database(mongo_url, name, timeout_s=5)
    await indexes.create(made)
    yield made
    await made.db.client.drop_database(name)
    await made.close()


@pytest.fixture
async def mongod(server: Database) -> Database:
    """An empty one."""
    await server[alerts.COLLECTION].delete_many({})
    return server


@pytest.fixture(params=["mongod", "simulated_here", "memory"])
def book(request: pytest.FixtureRequest) -> Open:
    """The book as a replica opens it."""
    if request.param == "memory":
        shared = MemoryBook(CLOCK)
        return lambda replica: MemoryBook(CLOCK, replica, shared)
    store: Database = request.getfixturevalue(request.param)
    return lambda replica: AlertStore(store[alerts.COLLECTION], replica)


def trouble(**changes: object) -> AlertObservation:
    made = AlertObservation(
        id=str(uuid.uuid4()),
        code="account",
        provider="legacy",
        severity="critical",
        reason="401",
        at=CLOCK.now(),
        ends=True,
        suggested_command="look",
        evidence={"a.b": "1", "$c": "2"},
    )
    return replace(made, **changes)


async def only(book: AlertBook) -> Alert:
    ((alert, _),) = await book.recent()
    return alert


async def test_a_trouble_is_read_as_it_was_seen(book: Open) -> None:
    seen = trouble()
    await book("a").record(seen)
    found = await only(book("b"))
    assert (found.id, found.code, found.provider) == (seen.id, "account", "legacy")
    assert (found.severity, found.reason, found.suggested_command) == ("critical", "401", "look")
    assert found.evidence == {"a.b": "1", "$c": "2"}
    assert (found.open, found.count, found.seen_by, found.told) == (True, 1, ("a",), None)
    assert abs(found.since - seen.at) < timedelta(milliseconds=1)


async def test_replicas_that_see_the_same_trouble_at_once_have_one_alert(book: Open) -> None:
    replicas = [f"r-{number}" for number in range(8)]
    await asyncio.gather(*(book(each).record(trouble()) for each in replicas))
    found = await only(book("x"))
    assert (found.count, sorted(found.seen_by)) == (8, replicas)


async def test_it_is_over_with_the_last_replica_that_sees_it(book: Open) -> None:
    seen = trouble()
    for each in "ab":
        await book(each).record(seen)
    await book("a").record(replace(seen, over=True, reason="200"))
    assert (await only(book("a"))).open
    await book("b").record(replace(seen, over=True, reason="200"))
    found = await only(book("a"))
    assert (found.open, found.seen_by, found.over_reason) == (False, (), "200")


async def test_what_comes_back_soon_is_the_same_one_and_acknowledged_by_nobody(book: Open) -> None:
    mine, seen = book("a"), trouble()
    await mine.record(seen)
    await mine.acknowledge(seen.id, "ann", "on it")
    await mine.record(replace(seen, over=True))
    await mine.record(trouble(reason="403"))
    found = await only(mine)
    assert (found.id, found.open, found.count) == (seen.id, True, 2)
    assert (found.reason, found.acknowledged) == ("403", None)


async def test_what_comes_back_late_is_another_one(book: Open) -> None:
    mine, seen = book("a"), trouble()
    await mine.record(seen)
    await mine.record(replace(seen, over=True))
    await mine.record(trouble(at=CLOCK.now() + timedelta(seconds=SAME_S + 1)))
    assert [each.open for each, _ in await mine.recent()] == [True, False]


async def test_to_confirm_counts_nothing_and_opens_what_nobody_opened(book: Open) -> None:
    mine, seen = book("a"), trouble()
    await mine.confirm(seen)
    before = await only(mine)
    await asyncio.sleep(0.002)  # the clock of the store has milliseconds
    await mine.confirm(seen)
    after = await only(mine)
    assert (after.count, after.open) == (1, True)
    assert after.last_seen > before.last_seen


async def test_a_trouble_confirmed_since_it_was_read_is_not_closed(book: Open) -> None:
    mine, seen = book("a"), trouble()
    await mine.record(seen)
    read = await only(mine)
    await asyncio.sleep(0.002)  # the clock of the store has milliseconds
    await mine.confirm(seen)
    await mine.close(read, CLOCK.now())
    assert (await only(mine)).open
    await mine.close(await only(mine), CLOCK.now())
    found = await only(mine)
    assert (found.open, found.over_reason) == (False, "the replicas that saw it are gone")


async def test_one_of_many_may_tell(book: Open) -> None:
    replicas = [book(f"r-{number}") for number in range(8)]
    await replicas[0].record(trouble())
    ((alert, now),) = await replicas[0].recent()
    won = await asyncio.gather(*(each.claim(alert, now) for each in replicas))
    assert sum(won) == 1
    assert due(await only(replicas[0]), now, repeat=HOLD, settle=HOLD) is None


async def test_who_was_told_is_known_to_all(book: Open) -> None:
    mine = book("a")
    await mine.record(trouble())
    ((alert, now),) = await mine.recent()
    assert await mine.claim(alert, now)
    await mine.told(alert, Kind.NEW)
    found = await only(book("b"))
    assert found.told is not None
    assert (found.told.kind, found.next_at) == (Kind.NEW, None)


async def test_a_try_in_vain_waits_and_remembers_who_was_reached(book: Open) -> None:
    mine = book("a")
    await mine.record(trouble())
    ((alert, now),) = await mine.recent()
    await mine.claim(alert, now)
    await mine.in_vain(alert, now, ("one",))
    found = await only(mine)
    assert (found.tries, found.reached, found.told) == (1, ("one",), None)
    assert found.next_at == now + timedelta(seconds=10)


async def test_whose_claim_another_took_over_settles_nothing(book: Open) -> None:
    late, other = book("a"), book("b")
    await late.record(trouble())
    ((alert, now),) = await late.recent()
    await late.claim(alert, now)
    await other.claim(await only(other), now)
    await late.told(alert, Kind.NEW)
    assert (await only(late)).told is None


async def test_the_first_who_takes_it_on_stands(book: Open) -> None:
    mine, seen = book("a"), trouble()
    await mine.record(seen)
    before = await only(mine)
    await mine.acknowledge(seen.id, "ann", "$on.it")
    await mine.acknowledge(seen.id, "ben", "me too")
    taken = (await only(mine)).acknowledged
    assert taken is not None
    assert (taken.by, taken.reason) == ("ann", "$on.it")
    assert not await mine.claim(before, CLOCK.now())  # a repeat decided on before it


async def test_an_event_told_twice_with_one_id_is_counted(book: Open) -> None:
    mine, event = book("a"), trouble(ends=False, severity="warning")
    await mine.record(event)
    await mine.record(replace(event, reason="402"))
    found = await only(mine)
    assert (found.count, found.open, found.reason) == (2, False, "402")


async def test_what_no_text_can_hold_is_stored_all_the_same(book: Open) -> None:
    mine, seen = book("a"), trouble(reason="cut \ud83d", evidence={"\ud83d": "\x00"})
    await mine.record(seen)
    await mine.record(replace(seen, over=True, reason="\ud83d"))
    assert (await only(mine)).over_at is not None


async def test_what_people_know_already_is_recorded_so(book: Open) -> None:
    mine = book("a")
    await mine.record(trouble(), told=True)
    found = await only(mine)
    assert found.told is not None
    assert found.told.kind is Kind.NEW


async def test_a_store_that_is_away_is_said_to_be() -> None:
    away = Database("mongodb://127.0.0.1:9/?directConnection=true", "none", timeout_s=0.2)
    with pytest.raises(StoreUnavailable):
        await AlertStore(away[alerts.COLLECTION], "a").recent()
    await away.close()
