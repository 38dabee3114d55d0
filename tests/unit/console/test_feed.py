"""What a feed asks and when, what it knows, and through whom; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.console_fakes import ASKERS, PASSWORD, Workers, state
from tests.support.virtual_time import LoopClock, run
from worker.console.events import Sheet
from worker.console.feed import ASKED_APART_S, WITHIN_S
from worker.console.feeds import LINGER_S, Feeds
from worker.console.known import Cause
from worker.console.sessions import REFUSED, Session, Sessions
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.console.feed import Feed


@dataclass
class Watching:
    """Feeds in virtual time."""

    workers: Workers
    sessions: Sessions
    feeds: Feeds

    def enter(self, user: str = "administrator") -> Session:
        client = self.workers.connect(user, PASSWORD)
        return self.sessions.open(ASKERS[user], client)[1]

    def asked(self) -> Counter[str]:
        """How often each query was asked since the last look."""
        found = Counter(name for name, _ in self.workers.asked)
        self.workers.asked.clear()
        return found


@asynccontextmanager
async def watching(**fields: Any) -> AsyncIterator[Watching]:
    workers, background, clock = Workers(**fields), Background(), LoopClock()
    sessions = Sessions(clock, background, idle_s=1800, observer_idle_s=43_200)
    feeds = Feeds(clock, background, sessions, lambda *_: Sheet({}, {}))
    try:
        yield Watching(workers, sessions, feeds)
    finally:
        await feeds.stop()
        await sessions.stop()
        await background.stop()


def in_virtual_time(test: Any) -> Any:
    """Run a test in virtual time."""

    def ran() -> None:
        run(test())

    ran.__name__ = test.__name__
    return ran


@in_virtual_time
async def test_each_question_is_asked_at_its_pace() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()):
            await asyncio.sleep(30.5)
            assert found.asked() == {
                "status": 31,
                "comparison": 7,
                "series": 4,
                "alerts": 4,
                "history": 4,
            }


@in_virtual_time
async def test_all_watchers_of_a_login_share_its_questions() -> None:
    async with watching() as found:
        sessions = [found.enter() for _ in range(3)]
        with (
            found.feeds.watched(sessions[0], asyncio.Event()),
            found.feeds.watched(sessions[1], asyncio.Event()),
            found.feeds.watched(sessions[2], asyncio.Event()),
        ):
            await asyncio.sleep(9.5)
            assert found.asked()["status"] == 10


@in_virtual_time
async def test_two_logins_share_nothing() -> None:
    async with watching() as found:
        one, two = found.enter("administrator"), found.enter("observer")
        with (
            found.feeds.watched(one, asyncio.Event()) as first,
            found.feeds.watched(two, asyncio.Event()) as second,
        ):
            assert first.feed is not second.feed
            await asyncio.sleep(0.5)
            assert {user for _, user in found.workers.asked} == {"administrator", "observer"}


@in_virtual_time
async def test_nothing_is_asked_when_nobody_watches_any_more() -> None:
    async with watching() as found:
        session = found.enter()
        with found.feeds.watched(session, asyncio.Event()):
            await asyncio.sleep(1)
        await asyncio.sleep(LINGER_S + 1)
        found.asked()
        await asyncio.sleep(60)
        assert found.asked() == {}
        assert found.feeds._feeds == {}
        assert session.client.heard is None


@in_virtual_time
async def test_a_page_that_comes_back_soon_finds_what_was_known() -> None:
    async with watching() as found:
        session = found.enter()
        with found.feeds.watched(session, asyncio.Event()) as before:
            await asyncio.sleep(1)
        await asyncio.sleep(LINGER_S - 1)
        with found.feeds.watched(session, asyncio.Event()) as after:
            assert after.feed is before.feed
            await asyncio.sleep(LINGER_S + 1)
            assert after.feed.known.silence is None
            assert after.feed.known.age(after.feed.known.status) <= 1.0


@in_virtual_time
async def test_answers_are_known_with_their_ages() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            assert watched.feed.known.status is None
            await watched.feed.complete(1)
            known = watched.feed.known
            assert known.status is known.whole is not None
            assert known.status.reply.state == state()
            assert known.comparison is None  # the workers did not say anything
            found.workers.silent = True
            await asyncio.sleep(60)
            aged = watched.feed.known
            assert aged.status is known.status
            assert aged.age(aged.status) == pytest.approx(60, abs=1)


@in_virtual_time
async def test_an_answer_that_cannot_be_read_changes_nothing_known() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            await watched.feed.complete(1)
            before = watched.feed.known.alerts
            found.workers.data["alerts"] = {"alerts": "none"}
            await asyncio.sleep(11)
            assert watched.feed.known.alerts is before is not None
            assert watched.feed.known.silence is None


# --- at once -----------------------------------------------------------------------------------


async def announced(key: str) -> Counter[str]:
    """What is asked within a moment of an announcement in the midst of a quiet time."""
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()):
            await asyncio.sleep(3.5)
            found.asked()
            found.workers.announce(key)
            await asyncio.sleep(0.01)
            return found.asked()


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("control.state", {"status": 1, "series": 1, "history": 1}),
        ("metric.alert", {"status": 1, "alerts": 1}),
        ("metric.breaker", {"status": 1}),
        ("metric.provider", {}),
    ],
)
def test_an_announcement_is_a_reason_to_ask_at_once(key: str, asked: dict[str, int]) -> None:
    assert run(announced(key)) == asked


@in_virtual_time
async def test_an_announced_change_is_a_moment_at_once() -> None:
    async with watching() as found:
        poke = asyncio.Event()
        with found.feeds.watched(found.enter(), poke) as watched:
            await asyncio.sleep(3.5)
            poke.clear()
            found.workers.state = state(8, 50)
            found.workers.announce("control.state")
            began = asyncio.get_running_loop().time()
            while watched.feed.known.status.reply.state.version != 8:
                await poke.wait()
                poke.clear()
            assert asyncio.get_running_loop().time() - began < 0.11


@in_virtual_time
async def test_a_new_version_is_a_reason_to_ask_what_depends_on_it() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()):
            await asyncio.sleep(3.5)
            found.asked()
            found.workers.state = state(8)
            await asyncio.sleep(1)
            assert found.asked() == {"status": 1, "series": 1, "alerts": 1, "history": 1}


@in_virtual_time
async def test_many_announcements_at_once_are_one_reason() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()):
            await asyncio.sleep(3.5)
            found.asked()
            for _ in range(1_000):
                found.workers.announce("metric.alert")
                await asyncio.sleep(0.001)
            assert found.asked()["status"] <= 1 / ASKED_APART_S + 2


@in_virtual_time
async def test_there_is_a_moment_each_second_whatever_is_answered() -> None:
    async with watching(silent=True) as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            await asyncio.sleep(5)
            before = watched.feed.moment
            await asyncio.sleep(100)
            assert 80 <= watched.feed.moment - before <= 110


# --- silences ------------------------------------------------------------------------------------


async def silence_of(feed: Feed) -> Cause | None:
    await asyncio.sleep(WITHIN_S + 1)
    silence = feed.known.silence
    return silence.cause if silence else None


@in_virtual_time
async def test_each_cause_of_a_silence_is_named_until_it_is_over() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            assert await silence_of(watched.feed) is None
            for cause, what in ((Cause.BROKER_AWAY, "away"), (Cause.NO_WORKER, "silent")):
                setattr(found.workers, what, True)
                assert await silence_of(watched.feed) is cause
                setattr(found.workers, what, False)
                assert await silence_of(watched.feed) is None


@in_virtual_time
async def test_a_silence_began_with_the_first_question_without_an_answer() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            await asyncio.sleep(10)
            found.workers.away = True
            await asyncio.sleep(30)
            found.workers.away, found.workers.silent = False, True
            await asyncio.sleep(30)
            silence = watched.feed.known.silence
            assert silence is not None
            assert silence.since == pytest.approx(10, abs=1.1)


@in_virtual_time
async def test_while_nobody_answers_only_the_status_is_asked() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()):
            await asyncio.sleep(1.5)
            found.workers.silent = True
            await asyncio.sleep(20)
            found.asked()
            await asyncio.sleep(60)
            assert found.asked().keys() == {"status"}


@in_virtual_time
async def test_without_the_store_the_last_whole_status_is_kept() -> None:
    async with watching() as found:
        with found.feeds.watched(found.enter(), asyncio.Event()) as watched:
            await watched.feed.complete(1)
            found.workers.store_away = True
            await asyncio.sleep(15)
            known = watched.feed.known
            assert known.store_away
            assert known.age(known.status) <= 1
            assert known.age(known.whole) >= 14
            assert known.silence is None
            found.workers.store_away = False
            await asyncio.sleep(2)
            assert not watched.feed.known.store_away


# --- through whom --------------------------------------------------------------------------------


@in_virtual_time
async def test_when_the_session_it_asks_through_ends_it_asks_through_another() -> None:
    async with watching() as found:
        one, two = found.enter(), found.enter()
        with (
            found.feeds.watched(one, asyncio.Event()) as watched,
            found.feeds.watched(two, asyncio.Event()),
        ):
            await asyncio.sleep(1.5)
            found.sessions.end(one, "You logged out.")
            await asyncio.sleep(5)
            assert watched.feed.known.silence is None
            assert watched.feed.known.age(watched.feed.known.status) <= 1


@in_virtual_time
async def test_when_the_session_it_asks_through_watches_no_more_it_asks_through_another() -> None:
    async with watching() as found:
        one, two = found.enter(), found.enter()
        with found.feeds.watched(one, asyncio.Event()):
            await asyncio.sleep(1.5)
        with found.feeds.watched(two, asyncio.Event()):
            one.client.is_connected = two.client.is_connected = False
            await asyncio.sleep(5)
            assert (one.client.is_connected, two.client.is_connected) == (False, True)
            assert (one.client.heard, two.client.heard is None) == (None, False)


@in_virtual_time
async def test_an_answer_with_a_reason_is_a_moment_of_its_own() -> None:
    async with watching() as found:
        poke = asyncio.Event()
        with found.feeds.watched(found.enter(), poke) as watched:
            await asyncio.sleep(3.5)
            poke.clear()
            found.workers.data["alerts"] = {"alerts": [], "more": 1}
            before = watched.feed.known.alerts
            found.workers.announce("metric.alert")
            began = asyncio.get_running_loop().time()
            while watched.feed.known.alerts is before:
                await poke.wait()
                poke.clear()
            assert asyncio.get_running_loop().time() - began < 0.25


@in_virtual_time
async def test_a_login_that_the_broker_refuses_ends_the_session() -> None:
    async with watching() as found:
        session = found.enter()
        with found.feeds.watched(session, asyncio.Event()) as watched:
            await asyncio.sleep(1.5)
            found.workers.passwords["administrator"] = "another"
            await asyncio.sleep(2)
            assert session.why_ended == REFUSED
            assert watched.feed.known.silence.cause is Cause.LOGIN_REFUSED


@in_virtual_time
async def test_a_new_role_is_that_of_everybody_who_watches() -> None:
    async with watching() as found:
        session = found.enter()
        session.you = ASKERS["observer"]
        with found.feeds.watched(session, asyncio.Event()):
            await asyncio.sleep(0.5)
            assert session.you == ASKERS["administrator"]
