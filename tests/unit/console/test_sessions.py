"""When a session ends, and what is left of it then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.console_fakes import ASKERS, PASSWORD, Client, Workers
from tests.support.fakes import HandClock
from tests.support.waiting import until
from worker.console.sessions import (
    LONGEST_S,
    OF_ONE_USER,
    REFUSED,
    RENEW_AFTER_S,
    REST_AFTER_S,
    Session,
    Sessions,
)
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IDLE_S, OBSERVER_IDLE_S = 1_800.0, 43_200.0


class Hall:
    """Sessions, with everything that they are given."""

    def __init__(self) -> None:
        self.clock, self.background, self.workers = HandClock(), Background(), Workers()
        self.sessions = Sessions(
            self.clock, self.background, idle_s=IDLE_S, observer_idle_s=OBSERVER_IDLE_S
        )

    def enter(self, user: str = "administrator") -> tuple[str, Session, Client]:
        client = self.workers.connect(user, PASSWORD)
        ident, session = self.sessions.open(ASKERS[user], client)
        return ident, session, client

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.sessions.look()


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    made = Hall()
    yield made
    await made.sessions.stop()
    await made.background.stop()


async def test_a_session_is_found_by_its_id_alone(hall: Hall) -> None:
    ident, session, _ = hall.enter()
    assert hall.sessions.find(ident) is session
    assert hall.sessions.find(ident + "x") is None
    assert hall.sessions.find(session.name) is None


async def test_the_id_is_kept_nowhere(hall: Hall) -> None:
    ident, session, _ = hall.enter()
    assert ident not in repr(vars(hall.sessions))
    assert ident not in repr(vars(session))


async def test_each_login_gets_a_new_id(hall: Hall) -> None:
    assert hall.enter()[0] != hall.enter()[0]


async def test_a_session_ends_after_its_idle_time(hall: Hall) -> None:
    ident, session, client = hall.enter()
    hall.after(IDLE_S - 1)
    assert hall.sessions.find(ident) is session
    hall.after(1)
    assert hall.sessions.find(ident) is None
    assert session.ended.is_set()
    assert session.why_ended.startswith("You were logged out at ")
    await until(lambda: client.closed)


async def test_a_session_that_is_over_is_not_found_before_it_is_ended(hall: Hall) -> None:
    ident, _, _ = hall.enter()
    hall.clock.advance(IDLE_S)
    assert hall.sessions.find(ident) is None


async def test_what_a_person_does_lengthens_the_session(hall: Hall) -> None:
    ident, session, _ = hall.enter()
    hall.after(IDLE_S - 1)
    hall.sessions.act(session)
    hall.after(IDLE_S - 1)
    assert hall.sessions.find(ident) is session


async def test_a_session_ends_after_eight_hours_whatever_is_done(hall: Hall) -> None:
    ident, session, _ = hall.enter()
    while session.ends - session.began < LONGEST_S:
        assert hall.sessions.find(ident) is session
        hall.sessions.act(session)
        hall.after(60)
    hall.after(LONGEST_S - (hall.clock.seconds - session.began))
    assert hall.sessions.find(ident) is None


async def test_a_session_of_an_observer_lasts_for_its_longer_idle_time(hall: Hall) -> None:
    ident, session, _ = hall.enter("observer")
    hall.after(OBSERVER_IDLE_S - 1)
    assert hall.sessions.find(ident) is session
    hall.after(1)
    assert hall.sessions.find(ident) is None


async def test_an_observer_with_a_short_idle_time_is_logged_in_for_eight_hours(hall: Hall) -> None:
    hall.sessions = Sessions(hall.clock, hall.background, idle_s=60, observer_idle_s=600)
    ident, session, _ = hall.enter("observer")
    while session.ends - session.began < LONGEST_S:
        hall.sessions.act(session)
        hall.after(300)
    assert hall.sessions.find(ident) is session
    hall.after(600)
    assert hall.sessions.find(ident) is None


async def test_logging_out_everywhere_ends_all_sessions_of_that_login_alone(hall: Hall) -> None:
    one, two, other = hall.enter(), hall.enter(), hall.enter("observer")
    hall.sessions.end_all_of("administrator", "You logged out.")
    assert [hall.sessions.find(each[0]) for each in (one, two)] == [None, None]
    assert hall.sessions.find(other[0]) is other[1]


async def test_the_end_wakes_every_stream_of_the_session(hall: Hall) -> None:
    _, session, _ = hall.enter()
    pokes = {asyncio.Event(), asyncio.Event()}
    session.pokes |= pokes
    hall.sessions.end(session, "You logged out.")
    assert all(poke.is_set() for poke in pokes)


async def test_a_session_logs_in_again_each_hour(hall: Hall) -> None:
    _, session, client = hall.enter()
    for hour in (1, 2):
        for _ in range(3):
            hall.sessions.act(session)
            hall.after(RENEW_AFTER_S / 3)
        await until(lambda hour=hour: client.renewed == hour)
        await until(lambda: not hall.sessions._doing)


async def test_a_session_ends_when_the_broker_refuses_its_login(hall: Hall) -> None:
    ident, session, client = hall.enter("observer")
    hall.workers.passwords["observer"] = "another"
    hall.after(RENEW_AFTER_S)
    await until(lambda: client.closed)
    assert hall.sessions.find(ident) is None
    assert session.why_ended == REFUSED


async def test_a_broker_that_is_away_ends_no_session_and_is_asked_again(hall: Hall) -> None:
    ident, session, client = hall.enter("observer")
    hall.workers.away = True
    hall.after(RENEW_AFTER_S)
    await until(lambda: not hall.sessions._doing)
    assert hall.sessions.find(ident) is session
    hall.workers.away = False
    hall.after(60)
    await until(lambda: client.renewed == 1)


async def test_a_connection_that_no_page_uses_is_closed(hall: Hall) -> None:
    _, session, client = hall.enter()
    client.is_connected = True
    hall.after(REST_AFTER_S - 1)
    hall.sessions.act(session)
    hall.after(REST_AFTER_S - 1)
    await until(lambda: not hall.sessions._doing)
    assert client.is_connected
    hall.after(1)
    await until(lambda: not client.is_connected)
    assert not session.ended.is_set()


async def test_a_connection_of_a_page_that_is_open_stays(hall: Hall) -> None:
    _, session, client = hall.enter()
    client.is_connected = True
    session.pokes.add(asyncio.Event())
    hall.after(10 * REST_AFTER_S)
    session.pokes.clear()
    hall.after(REST_AFTER_S - 1)
    await until(lambda: not hall.sessions._doing)
    assert client.is_connected


async def test_one_more_session_than_a_login_may_have_ends_its_oldest(hall: Hall) -> None:
    first, *others = [hall.enter() for _ in range(OF_ONE_USER + 1)]
    assert hall.sessions.find(first[0]) is None
    assert all(hall.sessions.find(each[0]) for each in others)


async def test_a_stop_ends_all_sessions_and_waits_for_their_connections(hall: Hall) -> None:
    entered = [hall.enter() for _ in range(3)]
    await hall.sessions.stop()
    assert len(hall.sessions) == 0
    assert all(client.closed for _, _, client in entered)
