"""The console on a real broker, with real replicas behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contracts import control
from tests.integration.console_visitor import Visitor, console, password
from tests.integration.control_bench import Harness, bench
from tests.integration.servers import running_broker
from tests.support.waiting import until
from worker.console.login import NO_ROLE, WRONG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

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


async def test_a_change_made_elsewhere_is_sent_before_the_next_question_is_due(
    address: str, amqp_url: Url, one: Harness
) -> None:
    async with Visitor.at(address) as visitor:
        await visitor.enter("observer", password(amqp_url("observer")))
        async with visitor.watching() as events:
            await until(lambda: events.names().count("tick") >= 3)
            seen = dict(events.sections)
            version = (await one.steer.do(control.Hold, reason="waiting for the bank")).version
            assert version is not None
            await until(lambda: events.sections != seen)
            assert "waiting for the bank" in str(events.sections)


async def test_a_broker_that_restarts_is_survived_by_session_and_stream(
    address: str, amqp_url: Url, broker: Broker
) -> None:
    async with Visitor.at(address) as visitor:
        await visitor.enter("administrator", password(amqp_url("administrator")))
        async with visitor.watching() as events:
            await until(lambda: "tick" in events.names())
            await broker.restart()
            await until(lambda: "Broker away." in str(events.sections.get("banner")))
            await until(lambda: "Broker away." not in str(events.sections.get("banner")), 30)
            assert "over" not in events.names()
        assert (await visitor.http.get("/session")).status_code == 204
