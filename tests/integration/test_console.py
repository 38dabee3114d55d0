"""The console on a real broker, with real replicas behind it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from contracts import control
from tests.integration.control_bench import Harness, bench, replica
from tests.integration.servers import running_broker
from tests.support.console_visitor import Visitor, console, password
from tests.support.steering import command
from tests.support.waiting import until
from worker.app.console import site_of
from worker.broker.control_client import ControlClient
from worker.clock import SystemClock
from worker.console import feed
from worker.console.login import NO_ROLE, WRONG, LetIn, address_with
from worker.console.render import Renderer
from worker.service import Background
from worker.settings.addresses import without_login
from worker.settings.console import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from worker.console.known import Known
    from worker.lab.local.broker import Broker

    Url = Callable[[str], str]


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """A broker of our own, because it is restarted."""
    async with running_broker(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture(scope="module")
def amqp_url(broker: Broker) -> Url:
    return lambda user: broker.urls[user]


@pytest.fixture
async def one(amqp_url: Url, mongo_url: str, database_name: str) -> AsyncIterator[Harness]:
    async with bench(amqp_url, mongo_url, database_name, count=1) as made:
        yield made


@pytest.fixture
async def address(amqp_url: Url, one: Harness) -> AsyncIterator[str]:
    del one
    async with console(amqp_url) as running:
        yield running


@pytest.mark.parametrize(
    ("user", "status"),
    [("administrator", 303), ("observer", 303), ("upstream", 403), ("webhook", 403),
     ("worker", 403), ("dashboard", 403)],
)  # fmt: skip
async def test_who_has_a_role_is_let_in_and_nobody_else(
    address: str, amqp_url: Url, user: str, status: int
) -> None:
    async with Visitor.at(address) as visitor:
        answer = await visitor.enter(user, password(amqp_url(user)))
        assert answer.status_code == status
        assert (NO_ROLE in answer.text) is (status == 403)
        page = await visitor.http.get("/")
        assert page.status_code == (200 if status == 303 else 303)
        assert (f"{user} <span>· {user}" in page.text) is (status == 303)


async def test_a_wrong_password_is_refused(address: str) -> None:
    async with Visitor.at(address) as visitor:
        answer = await visitor.enter("administrator", "wrong")
        assert (answer.status_code, WRONG in answer.text) == (403, True)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections that say what is known in words of the test's own."""

    def sections(_self: object, known: Known, *_: object) -> dict[str, str]:
        state = known.status.reply.state if known.status else None
        return {
            "version": str(state.version if state else None),
            "silence": str(known.silence and known.silence.cause),
        }

    monkeypatch.setattr(Renderer, "sections", sections)


@pytest.mark.usefixtures("plain")
async def test_a_change_made_elsewhere_is_sent_before_any_question_is_due(
    address: str, amqp_url: Url, one: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STATUS", replace(feed.STATUS, every_s=3600.0))
    async with Visitor.at(address) as visitor:
        await visitor.enter("observer", password(amqp_url("observer")))
        async with visitor.watching() as events:
            await until(lambda: events.sections.get("version") == "1")
            version = (await one.steer.do(control.Hold)).version
            await until(lambda: events.sections["version"] == str(version))


@pytest.mark.usefixtures("plain")
async def test_a_broker_that_restarts_is_survived_by_session_and_stream(
    address: str, amqp_url: Url, broker: Broker
) -> None:
    async with Visitor.at(address) as visitor:
        await visitor.enter("administrator", password(amqp_url("administrator")))
        async with visitor.watching() as events:
            await until(lambda: events.sections.get("silence") == "None")
            await broker.restart()
            await until(lambda: events.sections["silence"] == "broker away")
            await until(lambda: events.sections["silence"] == "None", 30)
            assert "over" not in events.names()
        assert (await visitor.http.get("/session")).status_code == 204


@pytest.mark.usefixtures("plain")
async def test_workers_that_restart_are_survived_by_session_and_stream(
    address: str, amqp_url: Url, one: Harness
) -> None:
    async with Visitor.at(address) as visitor:
        await visitor.enter("administrator", password(amqp_url("administrator")))
        async with visitor.watching() as events:
            await until(lambda: events.sections.get("silence") == "None")
            await one.replicas[0].kill()
            await until(lambda: events.sections["silence"] == "no worker answers")
            one.replicas.append(await replica(one.cfg, 2, one.target, one.alerts))
            await until(lambda: events.sections["silence"] == "None", 30)
            assert "over" not in events.names()


async def test_a_command_is_given_in_the_name_of_who_is_logged_in(
    amqp_url: Url, one: Harness
) -> None:
    cfg = ConsoleSettings(console_broker=without_login(amqp_url("administrator")))
    background = Background()

    def connect(name: str, secret: str) -> ControlClient:
        return ControlClient(address_with(cfg.console_broker, name, secret))

    site = site_of(cfg, background, connect, SystemClock())
    secret = password(amqp_url("administrator"))
    entered = await site.doorkeeper.let_in("administrator", secret, "192.0.2.1")
    assert isinstance(entered, LetIn)
    session = site.sessions.find(entered.ident)
    assert session is not None
    reply = await site.ask(session, command(control.Hold), 20)
    assert reply.verdict == "accepted"
    assert (await one.entries())[-1].user == "administrator"
    await site.sessions.stop()
    await background.stop()


async def test_a_stop_ends_the_streams_of_pages_that_watch(amqp_url: Url, one: Harness) -> None:
    del one
    async with AsyncExitStack() as opened:
        running = await opened.enter_async_context(console(amqp_url))
        async with Visitor.at(running) as visitor:
            await visitor.enter("observer", password(amqp_url("observer")))
            async with visitor.http.stream("GET", "/events") as answer:
                chunks = answer.aiter_raw()
                await anext(chunks)
                ending = asyncio.ensure_future(opened.aclose())
                # A stream that is cut, as after the server's grace, is an error here.
                async for _ in chunks:
                    pass
            await ending
