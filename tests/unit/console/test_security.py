"""What a request must prove, and what every answer says."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.console_fakes import (
    OURS,
    PASSWORD,
    Desk,
    desk,
    log_in,
    page_token,
    settings,
    token_of,
)
from worker.console import security
from worker.console.security import HEADERS
from worker.web.bodies import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

ORIGIN = "http://127.0.0.1:8090"


@pytest.fixture
async def console() -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


@pytest.fixture
async def amina(console: Desk) -> httpx.AsyncClient:
    """A browser that is logged in."""
    assert (await log_in(console.browser)).status_code == 303
    return console.browser


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/login", 200),
        ("GET", "/", 303),
        ("GET", "/events", 401),
        ("GET", "/nothing", 404),
        ("DELETE", "/login", 403),
        ("POST", "/login", 403),
    ],
)
async def test_every_answer_has_every_header(
    console: Desk, method: str, path: str, status: int
) -> None:
    answer = await console.browser.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)


async def test_an_error_of_ours_has_every_header_and_shows_nothing(
    console: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(console.site.renderer, "login", broken)
    console.browser._transport.raise_app_exceptions = False
    answer = await console.browser.get("/login")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)


async def test_the_policy_allows_nothing_but_our_own_files() -> None:
    policy = dict(
        each.strip().partition(" ")[::2] for each in HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "sms",
    }


# --- whom the request asks -------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost:8090", "LocalHost:8090"])
async def test_our_own_name_is_answered(console: Desk, host: str) -> None:
    answer = await console.browser.get("/login", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:8091", "evil.example:8090", ""]
)
async def test_another_name_is_refused(console: Desk, host: str) -> None:
    answer = await console.browser.get("/login", headers={"Host": host})
    assert answer.status_code == 421


async def test_behind_a_proxy_the_name_in_the_settings_is_answered() -> None:
    host = "0.0.0.0"  # noqa: S104 - not bound
    cfg = settings(console_host=host, console_origin="https://sms.example")
    async with desk(cfg) as made:
        for name, status in (("sms.example", 200), ("127.0.0.1:8090", 421)):
            answer = await made.browser.get("/login", headers={"Host": name})
            assert answer.status_code == status


# --- where the request comes from ------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": ORIGIN}, 303),
        ({"Origin": "http://localhost:8090"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, 403),
        ({"Origin": "http://127.0.0.1:8091"}, 403),
        ({"Origin": "https://127.0.0.1:8090"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": ORIGIN}, 403),
        ({}, 403),
    ],
)
async def test_a_change_comes_from_our_own_page(
    console: Desk, amina: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    token = await page_token(amina)
    answer = await amina.post("/logout", data={"token": token}, headers=headers)
    assert answer.status_code == status
    assert len(console.site.sessions) == (0 if status == 303 else 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "http://evil.example"}, 403)],
)
async def test_a_log_in_comes_from_our_own_page_too(
    console: Desk, headers: dict[str, str], status: int
) -> None:
    assert (await log_in(console.browser, headers=headers)).status_code == status
    assert console.workers.clients == []


# --- tokens ----------------------------------------------------------------------------------


async def test_a_change_has_its_token_in_a_field_or_a_header(amina: httpx.AsyncClient) -> None:
    headers = OURS | {"X-Sms-Token": await page_token(amina)}
    assert (await amina.post("/logout", headers=headers)).status_code == 303


@pytest.mark.parametrize("given", [{}, {"data": {"token": "x"}}, {"data": {"token": ""}}])
async def test_a_change_without_its_token_is_refused(
    console: Desk, amina: httpx.AsyncClient, given: dict[str, Any]
) -> None:
    assert (await amina.post("/logout", headers=OURS, **given)).status_code == 403
    assert len(console.site.sessions) == 1


async def test_a_token_in_json_or_in_the_address_counts_nothing(amina: httpx.AsyncClient) -> None:
    token = await page_token(amina)
    answers = [
        await amina.post("/logout", json={"token": token}, headers=OURS),
        await amina.post("/logout", params={"token": token}, headers=OURS),
    ]
    assert [each.status_code for each in answers] == [403, 403]


async def test_a_token_of_another_session_is_refused(
    console: Desk, amina: httpx.AsyncClient
) -> None:
    async with console.another() as other:
        await log_in(other, "observer")
        token = await page_token(other)
    answer = await amina.post("/logout", data={"token": token}, headers=OURS)
    assert answer.status_code == 403


async def test_a_token_of_the_log_in_is_none_of_the_session(
    console: Desk, amina: httpx.AsyncClient
) -> None:
    async with console.another() as other:
        token = token_of((await other.get("/login")).text)
        amina.cookies.update(other.cookies)
    answer = await amina.post("/logout", data={"token": token}, headers=OURS)
    assert answer.status_code == 403


async def test_a_log_in_without_the_cookie_of_its_form_is_refused(console: Desk) -> None:
    token = token_of((await console.browser.get("/login")).text)
    console.browser.cookies.clear()
    form = {"token": token, "user": "observer", "password": PASSWORD}
    answer = await console.browser.post("/login", data=form, headers=OURS)
    assert answer.status_code == 403
    assert console.workers.clients == []


# --- bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), {}, 413),
        (gzip.compress(b"x" * (MAX_BODY_BYTES + 1)), {"Content-Encoding": "gzip"}, 413),
        (b"x", {"Content-Encoding": "br"}, 415),
        (b"x", {"Content-Encoding": "gzip"}, 415),
        (b"token=" + b"&a=1" * 200, {"Content-Type": "application/x-www-form-urlencoded"}, 403),
        (b"token=\xff\xfe", {"Content-Type": "application/x-www-form-urlencoded"}, 403),
    ],
)
async def test_a_body_is_bounded(
    amina: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await amina.post("/logout", content=body, headers=OURS | headers)
    assert answer.status_code == status


async def test_a_body_that_does_not_come_is_not_waited_for(
    amina: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "_BODY_WITHIN_S", 0.01)

    async def never() -> AsyncIterator[bytes]:
        yield b"token="
        await asyncio.Event().wait()

    answer = await amina.post("/logout", content=never(), headers=OURS)
    assert answer.status_code == 408
