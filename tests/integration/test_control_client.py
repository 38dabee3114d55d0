"""The client of the control topic: many questions at once, refusals, announcements, renewal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from contracts import control
from contracts.names import Exchange
from tests.integration.control_bench import Harness, bench, publish
from tests.support.steering import command
from tests.support.waiting import until
from worker.broker import control_link
from worker.broker.control_client import (
    BrokerAway,
    ControlClient,
    LoginRefused,
    NoAnswer,
    NotAllowed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]
    Url = Callable[[str], str]

pytestmark = pytest.mark.usefixtures("empty_queues")
WITHIN_S = 20.0


@pytest.fixture
async def one(
    amqp_url: Url, mongo_url: str, database_name: str, empty_queues: None
) -> AsyncIterator[Harness]:
    del empty_queues
    async with bench(amqp_url, mongo_url, database_name, count=1) as made:
        yield made


@pytest.fixture
async def observer(amqp_url: Url, one: Harness) -> AsyncIterator[ControlClient]:
    del one
    async with ControlClient(amqp_url("observer"), "a test") as client:
        yield client


def status() -> control.Status:
    return control.Status(command_id=str(uuid4()))


def wrong(url: str) -> str:
    """The address with another password."""
    login, _, rest = url.rpartition("@")
    return f"{login}x@{rest}"


async def test_many_questions_at_once_share_one_connection(
    observer: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = control_link.connect

    async def counted(*args: object, **given: object) -> AbstractConnection:
        opened.append(1)
        return await connect(*args, **given)

    monkeypatch.setattr(control_link, "connect", counted)
    replies = await asyncio.gather(*(observer.ask(status(), WITHIN_S) for _ in range(20)))
    assert {reply.code for reply in replies} == {"ok"}
    assert len({reply.command_id for reply in replies}) == 20
    assert len(opened) == 1


async def test_a_refused_command_harms_no_question_under_way(observer: ControlClient) -> None:
    await observer.ask(status(), WITHIN_S)
    link = observer._link
    questions = [asyncio.ensure_future(observer.ask(status(), WITHIN_S)) for _ in range(5)]
    with pytest.raises(NotAllowed) as refused:
        await observer.ask(command(control.EmergencyRollback), WITHIN_S)
    assert not isinstance(refused.value, LoginRefused)
    assert {reply.code for reply in await asyncio.gather(*questions)} == {"ok"}
    assert observer._link is link
    assert (await observer.ask(status(), WITHIN_S)).code == "ok"


async def test_a_wrong_password_is_told_from_a_broker_that_is_away(amqp_url: Url) -> None:
    async with ControlClient(wrong(amqp_url("observer"))) as client:
        with pytest.raises(LoginRefused):
            await client.ask(status(), WITHIN_S)
    async with ControlClient("amqp://observer:x@127.0.0.1:1/") as client:
        with pytest.raises(BrokerAway):
            await client.ask(status(), 0.3)


async def test_workers_that_do_not_answer_are_told_from_a_broker_that_is_away(
    amqp_url: Url,
) -> None:
    async with ControlClient(amqp_url("observer")) as client:
        with pytest.raises(NoAnswer) as silent:
            await client.ask(status(), 0.5)
    assert not isinstance(silent.value, BrokerAway)


async def test_a_closed_client_asks_no_more(observer: ControlClient) -> None:
    await observer.ask(status(), WITHIN_S)
    await observer.close()
    with pytest.raises(LoginRefused):
        await observer.ask(status(), WITHIN_S)
    assert "://" not in repr(vars(observer))


async def test_announcements_are_heard(
    observer: ControlClient, one: Harness, connect: Connect
) -> None:
    heard: list[str] = []
    observer.hear(heard.append)
    await observer.ask(status(), WITHIN_S)
    await one.steer.do(control.Hold)
    await until(lambda: "control.state" in heard)
    worker = await connect("worker")
    for key in ("metric.alert", "metric.breaker", "metric.provider"):
        await publish(worker, key, b"{}", exchange=Exchange.METRICS)
    await until(lambda: "metric.breaker" in heard)
    assert set(heard) == {"control.state", "metric.alert", "metric.breaker"}


async def test_announcements_are_not_heard_any_more_when_nobody_wants_them(
    observer: ControlClient, connect: Connect
) -> None:
    heard: list[str] = []
    observer.hear(heard.append)
    await observer.ask(status(), WITHIN_S)
    link = observer._link
    assert link is not None
    observer.hear(None)
    await observer.ask(status(), WITHIN_S)
    assert link._hearing is None
    await publish(await connect("worker"), "metric.alert", b"{}", exchange=Exchange.METRICS)
    await observer.ask(status(), WITHIN_S)
    assert heard == []


async def test_a_login_that_may_not_hear_announcements_still_asks(
    amqp_url: Url, one: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    del one
    forbidden = ((Exchange.COMMANDS, "send"),)
    monkeypatch.setattr("worker.broker.control_link.ANNOUNCEMENTS", forbidden)
    async with ControlClient(amqp_url("observer")) as client:
        client.hear(lambda _: None)
        for _ in range(3):
            assert (await client.ask(status(), WITHIN_S)).code == "ok"


async def test_a_client_that_rests_asks_over_a_new_connection(observer: ControlClient) -> None:
    await observer.ask(status(), WITHIN_S)
    before = observer._link
    await observer.rest()
    assert not observer.is_connected
    assert (await observer.ask(status(), WITHIN_S)).code == "ok"
    assert observer._link is not before


async def test_a_client_that_waits_for_an_answer_does_not_rest(observer: ControlClient) -> None:
    await observer.ask(status(), WITHIN_S)
    question = asyncio.ensure_future(observer.ask(status(), WITHIN_S))
    await asyncio.sleep(0)
    await observer.rest()
    assert observer.is_connected
    assert (await question).code == "ok"


async def test_logging_in_again_loses_no_question(observer: ControlClient) -> None:
    await observer.ask(status(), WITHIN_S)
    before = observer._link
    questions = [asyncio.ensure_future(observer.ask(status(), WITHIN_S)) for _ in range(10)]
    await asyncio.sleep(0)
    await observer.renew(WITHIN_S)
    assert observer._link is not before
    assert before is not None
    assert not before.is_open
    assert {reply.code for reply in await asyncio.gather(*questions)} == {"ok"}


async def test_logging_in_again_with_an_old_password_is_refused(
    observer: ControlClient,
) -> None:
    await observer.ask(status(), WITHIN_S)
    observer._url = wrong(observer._url)
    with pytest.raises(LoginRefused):
        await observer.renew(WITHIN_S)
