"""What a page is sent, and when its stream ends; in virtual time where time matters."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.requests import Request

from tests.support.console_fakes import (
    ASKERS,
    PASSWORD,
    Desk,
    Workers,
    desk,
    log_in,
    page_token,
    served,
    state,
)
from tests.support.event_stream import Events
from tests.support.virtual_time import LoopClock, run
from tests.support.waiting import until
from worker.console.events import Sheet
from worker.console.feeds import Feeds
from worker.console.pages.frame import NOTICE_S
from worker.console.sessions import Session, Sessions
from worker.console.stream import OF_ONE_SESSION, RETRY_MS, TAKEN_WITHIN_S, Streams
from worker.console.viewers import Viewers
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from worker.console.known import Known
    from worker.console.viewer import Viewer

IDLE_S = 1800


@dataclass
class Page:
    """A page that watches: the other end of a connection.

    Attributes:
        takes: whether it takes what is sent.
        status: of the answer.
        finished: the stream ended as it should.
    """

    answer: Response
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    events: Events = field(default_factory=Events)
    status: int = 0
    finished: bool = False

    def __post_init__(self) -> None:
        self._gone = asyncio.Event()
        self.takes.set()
        self.watching = asyncio.get_running_loop().create_task(self._watch())

    async def leave(self) -> None:
        self._gone.set()
        await self.watching

    async def _watch(self) -> None:
        await self.answer({"type": "http"}, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.events.feed(message["body"])
        self.finished = not message.get("more_body", False)


@dataclass
class Wall:
    """Streams in virtual time, with sections of the test's own.

    Attributes:
        rendered: for whom the sections were made, each time.
    """

    workers: Workers
    sessions: Sessions
    feeds: Feeds
    streams: Streams
    rendered: list[Viewer]

    def enter(self, user: str = "administrator") -> Session:
        client = self.workers.connect(user, PASSWORD)
        return self.sessions.open(ASKERS[user], client)[1]

    def answer(self, session: Session) -> Response:
        return self.streams.answer(Request({"type": "http", "headers": []}), session)

    def page(self, session: Session) -> Page:
        return Page(self.answer(session))


@asynccontextmanager
async def wall() -> AsyncIterator[Wall]:
    workers, background, clock = Workers(), Background(), LoopClock()
    rendered: list[Viewer] = []

    def render(known: Known, viewer: Viewer) -> Sheet:
        rendered.append(viewer)
        share = known.status.reply.state.percentage if known.status else None
        sections = {"share": f"<p>{share} %</p>", "still": "<p>ü\n</p>", "role": viewer.role}
        return Sheet(sections, {"status": "just now"})

    sessions = Sessions(clock, background, idle_s=IDLE_S, observer_idle_s=43_200)
    feeds = Feeds(clock, background, sessions, render)
    streams = Streams(feeds, Viewers(sessions, "test", ""))
    await sessions.start()
    try:
        yield Wall(workers, sessions, feeds, streams, rendered)
    finally:
        await streams.stop()
        await feeds.stop()
        await sessions.stop()
        await background.stop()


def in_virtual_time(test: Any) -> Any:
    """Run a test in virtual time."""

    def ran() -> None:
        run(test())

    return ran


# --- what is sent ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_stream_opens_with_all_sections_as_the_workers_tell_them() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(0.05)
        assert page.status == 200
        assert page.events.retry == RETRY_MS
        first = {"share": "<p>25 %</p>", "still": "<p>ü\n</p>", "role": "administrator"}
        assert page.events.came == [
            ("sections", first),
            ("tick", {"status": "just now", "end": ""}),
        ]


@in_virtual_time
async def test_then_it_sends_what_changed_and_a_tick_each_second() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(10)
        page.events.came.clear()
        await asyncio.sleep(10)
        assert set(page.events.names()) == {"tick"}
        assert 10 <= len(page.events.came) <= 12
        found.workers.state = state(8, 50)
        await asyncio.sleep(1.5)
        changed = [data for name, data in page.events.came if name == "sections"]
        assert changed == [{"share": "<p>50 %</p>"}]


@in_virtual_time
async def test_a_page_that_comes_back_gets_all_sections_again() -> None:
    async with wall() as found:
        session = found.enter()
        first = found.page(session)
        await asyncio.sleep(5)
        await first.leave()
        second = found.page(session)
        await asyncio.sleep(0.05)
        assert second.events.sections == first.events.sections


@in_virtual_time
async def test_a_page_is_told_even_if_nobody_answers() -> None:
    async with wall() as found:
        found.workers.silent = True
        page = found.page(found.enter())
        await asyncio.sleep(3)
        assert page.events.sections["share"] == "<p>None %</p>"


@in_virtual_time
async def test_a_page_that_takes_nothing_for_a_while_gets_the_newest_state_alone() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(2)
        page.takes.clear()
        await asyncio.sleep(1.5)
        page.events.came.clear()
        for percentage in range(30, 50):
            found.workers.state = state(percentage, percentage)
            await asyncio.sleep(1)
        page.takes.set()
        await asyncio.sleep(1.5)
        shares = [data["share"] for name, data in page.events.came if name == "sections"]
        assert shares[-1] == "<p>49 %</p>"
        assert len(shares) <= 2


@in_virtual_time
async def test_a_page_that_takes_nothing_any_more_is_given_up() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(2)
        page.takes.clear()
        await asyncio.sleep(TAKEN_WITHIN_S + 2)
        assert page.watching.done()
        assert len(found.streams) == 0


# --- rendered once -----------------------------------------------------------------------------


@in_virtual_time
async def test_sections_are_made_once_for_all_pages_of_a_login() -> None:
    async with wall() as found:
        pages = [found.page(found.enter()) for _ in range(20)]
        await asyncio.sleep(10)
        ticks = pages[0].events.names().count("tick")
        assert len(found.rendered) <= ticks + 1
        assert {page.events.sections["share"] for page in pages} == {"<p>25 %</p>"}


@in_virtual_time
async def test_what_was_made_for_a_moment_is_forgotten_with_it() -> None:
    async with wall() as found:
        found.page(found.enter())
        await asyncio.sleep(1)
        (watched,) = found.feeds._feeds.values()
        await asyncio.sleep(60)
        assert (len(watched._sheets), len(watched._changes)) == (1, 1)


@in_virtual_time
async def test_what_is_shared_holds_nothing_of_one_session() -> None:
    async with wall() as found:
        found.page(found.enter())
        await asyncio.sleep(1)
        (viewer,) = set(found.rendered)
        assert (viewer.token, viewer.session, viewer.ends_at.year) == ("", "", 9999)


@in_virtual_time
async def test_another_role_gets_other_sections() -> None:
    async with wall() as found:
        pages = [found.page(found.enter(user)) for user in ("administrator", "observer")]
        await asyncio.sleep(1)
        roles = [page.events.sections["role"] for page in pages]
        assert roles == ["administrator", "observer"]


# --- its end -----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_page_is_told_two_minutes_before_the_session_ends() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(IDLE_S - NOTICE_S - 2)
        assert page.events.came[-1][1]["end"] == ""
        await asyncio.sleep(4)
        assert page.events.came[-1][1]["end"].startswith("You will be logged out in 1")
        assert found.rendered[-1].ends_at.year < 9999


@in_virtual_time
async def test_the_stream_ends_with_the_session_and_says_why() -> None:
    async with wall() as found:
        page = found.page(found.enter())
        await asyncio.sleep(IDLE_S + 2)
        assert page.finished
        (name, data) = page.events.came[-1]
        assert name == "over"
        assert data["text"].startswith("You were logged out at ")
        assert len(found.streams) == 0


@in_virtual_time
async def test_a_log_out_ends_every_stream_of_the_session_at_once() -> None:
    async with wall() as found:
        session, other = found.enter(), found.enter()
        pages, kept = [found.page(session) for _ in range(3)], found.page(other)
        await asyncio.sleep(2.01)
        found.sessions.end(session, "You logged out.")
        await asyncio.sleep(0.01)
        assert [page.events.came[-1] for page in pages] == [
            ("over", {"text": "You logged out."})
        ] * 3
        assert all(page.finished for page in pages)
        await asyncio.sleep(60)
        assert not kept.watching.done()


@in_virtual_time
async def test_when_the_console_stops_streams_end_without_the_session() -> None:
    async with wall() as found:
        session = found.enter()
        pages = [found.page(session) for _ in range(3)]
        await asyncio.sleep(2)
        await found.streams.drain()
        await asyncio.sleep(0)
        assert all(page.finished for page in pages)
        assert {name for page in pages for name in page.events.names()} == {"sections", "tick"}
        assert found.answer(session).status_code == 503


@in_virtual_time
async def test_a_browser_that_leaves_is_forgotten() -> None:
    async with wall() as found:
        session = found.enter()
        page = found.page(session)
        await asyncio.sleep(2)
        await page.leave()
        assert (len(found.streams), session.pokes) == (0, set())


@in_virtual_time
async def test_a_session_has_a_bounded_number_of_streams() -> None:
    async with wall() as found:
        session = found.enter()
        pages = [found.page(session) for _ in range(OF_ONE_SESSION)]
        await asyncio.sleep(1)
        assert found.answer(session).status_code == 429
        await pages[0].leave()
        assert found.answer(session).status_code == 200


# --- over real HTTP ----------------------------------------------------------------------------


@pytest.fixture
async def console() -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_each_frame_comes_at_once_compressed_or_not(console: Desk, coding: str) -> None:
    async with (
        served(console.site, console.background) as address,
        httpx.AsyncClient(base_url=address) as browser,
    ):
        await log_in(browser)
        headers = {"Accept-Encoding": coding}
        async with browser.stream("GET", "/events", headers=headers) as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers.get("content-encoding", "identity") == coding
            assert answer.headers["cache-control"] == "no-store"
            events = Events(compressed=coding == "gzip")
            async for chunk in answer.aiter_raw():
                events.feed(chunk)
                if "tick" in events.names():
                    break
            assert "stand" in events.sections
        await until(lambda: len(console.site.streams) == 0)


async def test_a_log_out_in_one_page_ends_the_stream_of_another(console: Desk) -> None:
    async with (
        served(console.site, console.background) as address,
        httpx.AsyncClient(base_url=address) as browser,
    ):
        await log_in(browser)
        events = Events()
        headers = {"Accept-Encoding": "identity"}
        async with browser.stream("GET", "/events", headers=headers) as answer:
            async for chunk in answer.aiter_raw():
                events.feed(chunk)
                if events.names() == ["sections", "tick"]:
                    form = {"token": await page_token(browser)}
                    sent = {"Sec-Fetch-Site": "same-origin"}
                    await browser.post("/logout", data=form, headers=sent)
        assert events.came[-1] == ("over", {"text": "You logged out."})
        assert (await browser.get("/events")).status_code == 401
