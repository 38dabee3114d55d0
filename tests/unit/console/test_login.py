"""Who is let in, what the others are told, and what is logged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.support.console_fakes import PASSWORD, Desk, desk
from tests.support.waiting import until
from worker.console.login import (
    AT_A_TIME,
    NO_ROLE,
    WRONG,
    LetIn,
    TurnedAway,
    address_with,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = "192.0.2.1"


@pytest.fixture
async def console() -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


async def tried(console: Desk, user: str, password: str = PASSWORD) -> LetIn | TurnedAway:
    return await console.site.doorkeeper.let_in(user, password, HERE)


@pytest.mark.parametrize("user", ["observer", "administrator"])
async def test_a_login_with_a_role_begins_a_session_of_that_role(console: Desk, user: str) -> None:
    result = await tried(console, user)
    assert isinstance(result, LetIn)
    session = console.site.sessions.find(result.ident)
    assert session is not None
    assert (session.you.user, session.you.role) == (user, user)
    assert session.client is console.workers.clients[0]


@pytest.mark.parametrize(
    ("user", "password", "answer"),
    [
        ("administrator", "wrong", TurnedAway(403, WRONG)),
        ("nobody", PASSWORD, TurnedAway(403, WRONG)),
        ("administrator", "", TurnedAway(403, WRONG)),
        ("administrator", "x" * 513, TurnedAway(403, WRONG)),
        ("Administrator", PASSWORD, TurnedAway(403, WRONG)),
        ("", PASSWORD, TurnedAway(403, WRONG)),
        ("a@b/c", PASSWORD, TurnedAway(403, WRONG)),
        ("upstream", PASSWORD, TurnedAway(403, NO_ROLE)),
    ],
)
async def test_others_are_turned_away(
    console: Desk, user: str, password: str, answer: TurnedAway
) -> None:
    assert await tried(console, user, password) == answer
    assert len(console.site.sessions) == 0
    assert all(client.closed for client in console.workers.clients)


async def test_a_login_without_a_role_at_the_workers_is_turned_away(console: Desk) -> None:
    console.workers.passwords["dashboard"] = PASSWORD
    assert await tried(console, "dashboard") == TurnedAway(403, NO_ROLE)


async def test_a_name_that_no_login_has_is_not_asked_of_the_broker(console: Desk) -> None:
    await tried(console, "a@b/c")
    assert console.workers.clients == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("away", "The broker does not answer. Try again."),
        ("silent", "No worker answers, so nobody knows your role here. Try again."),
    ],
)
async def test_who_cannot_be_judged_is_asked_to_come_again_and_not_counted(
    console: Desk, what: str, text: str
) -> None:
    setattr(console.workers, what, True)
    answers = [await tried(console, "administrator") for _ in range(8)]
    assert answers == [TurnedAway(503, text, 5)] * 8


async def test_the_sixth_failure_within_a_minute_is_refused_unasked(console: Desk) -> None:
    for _ in range(5):
        await tried(console, "administrator", "wrong")
    answer = await tried(console, "administrator")
    assert answer == TurnedAway(429, "Too many failed log-ins. Try again in 30 s.", 30)
    assert len(console.workers.clients) == 5


async def test_a_success_is_not_counted(console: Desk) -> None:
    results = [await tried(console, "administrator") for _ in range(8)]
    assert all(isinstance(each, LetIn) for each in results)


async def test_few_log_ins_are_made_at_a_time(console: Desk) -> None:
    console.workers.waits = asyncio.Event()
    several = [asyncio.ensure_future(tried(console, "observer")) for _ in range(10)]
    await until(lambda: len(console.workers.clients) == AT_A_TIME)
    await asyncio.sleep(0)
    assert len(console.workers.clients) == AT_A_TIME
    console.workers.waits.set()
    assert all(isinstance(each, LetIn) for each in await asyncio.gather(*several))


async def test_no_password_and_no_unknown_name_is_logged(console: Desk) -> None:
    with capture_logs() as logs:
        await tried(console, "observer", "secret-1")
        await tried(console, "observer")
        await tried(console, "observer", "secret-2")
        await tried(console, "secret-3", "observer")
    assert [each["event"] for each in logs] == [
        "log-in refused",
        "logged in",
        "log-in refused",
        "log-in refused",
    ]
    assert [each["user"] for each in logs] == [
        "(not known here)",
        "observer",
        "observer",
        "(not known here)",
    ]
    assert "secret" not in str(logs)
    assert PASSWORD not in str(logs)


def test_a_login_is_put_into_the_address_so_that_no_character_ends_it() -> None:
    address = address_with("amqps://mq-1:5671,mq-2:5671/%2F?cafile=x", "amina", "a/b@c:d#e?f%")
    assert address == "amqps://amina:a%2Fb%40c%3Ad%23e%3Ff%25@mq-1:5671,mq-2:5671/%2F?cafile=x"
