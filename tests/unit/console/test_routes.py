"""Log-in, log-out and pages, as a browser sees them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.console_fakes import (
    OURS,
    PASSWORD,
    Desk,
    desk,
    log_in,
    page_token,
    settings,
)
from worker.console.login import WRONG
from worker.console.sessions import OVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx


@pytest.fixture
async def console() -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


def cookies(answer: httpx.Response) -> dict[str, str]:
    """The cookies that an answer sets: what follows the value, by name."""
    found = {}
    for header in answer.headers.get_list("set-cookie"):
        name, _, rest = header.partition("=")
        found[name] = rest.partition("; ")[2]
    return found


# --- log-in ----------------------------------------------------------------------------------


async def test_a_page_without_a_session_leads_to_the_log_in_and_back(console: Desk) -> None:
    answer = await console.browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?back=/")


async def test_a_log_in_leads_to_the_page_and_begins_a_session(console: Desk) -> None:
    answer = await log_in(console.browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = await console.browser.get("/")
    assert page.status_code == 200
    assert "administrator" in page.text


async def test_on_plain_http_the_cookie_is_named_after_the_port(console: Desk) -> None:
    assert cookies(await log_in(console.browser))["sms-8090"] == "HttpOnly; Path=/; SameSite=lax"


@pytest.mark.parametrize(
    ("origin", "name", "path"),
    [("https://sms.example", "__Host-sms", "/"), ("https://x.example/sms", "__Secure-sms", "/sms")],
)
async def test_over_tls_the_cookie_is_secure_and_bound_to_host_or_path(
    origin: str, name: str, path: str
) -> None:
    async with (
        desk(settings(console_origin=origin)) as made,
        made.another(address=origin + "/") as browser,
    ):
        given = cookies(await log_in(browser))
        assert given[name] == f"HttpOnly; Path={path}; SameSite=lax; Secure"
        assert (await browser.get("/")).status_code == 200


async def test_a_wrong_password_shows_the_log_in_again_with_the_name_alone(console: Desk) -> None:
    answer = await log_in(console.browser, "amina", "hush-wrong")
    assert answer.status_code == 403
    assert WRONG in answer.text
    assert 'value="amina"' in answer.text
    assert "hush-wrong" not in answer.text


async def test_what_was_typed_as_a_name_is_escaped(console: Desk) -> None:
    answer = await log_in(console.browser, '"><script>alert(1)</script>', "x")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_too_many_failures_say_when_to_come_again(console: Desk) -> None:
    for _ in range(5):
        await log_in(console.browser, "amina", "wrong")
    answer = await log_in(console.browser, "amina", "wrong")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/history", "/history"),
        ("/", "/"),
        ("", "/"),
        ("history", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/a\nb", "/"),
        ("/" + "a" * 600, "/"),
    ],
)
async def test_a_log_in_leads_back_within_the_console(
    console: Desk, back: str, leads_to: str
) -> None:
    answer = await log_in(console.browser, back=back)
    assert answer.headers["location"] == leads_to


async def test_under_a_path_prefix_every_address_has_it() -> None:
    origin = "https://x.example/sms"
    async with (
        desk(settings(console_origin=origin)) as made,
        made.another(address=origin + "/") as browser,
    ):
        first = await browser.get("/")
        assert first.headers["location"] == "/sms/login?back=/sms/"
        assert (await log_in(browser, back="/history")).headers["location"] == "/sms/"
        page = (await browser.get("/")).text
        addresses = re.findall(r'(?:href|src|action|data-stream|data-dialog)="(/[^"]*)"', page)
        assert addresses
        assert [each for each in addresses if not each.startswith("/sms/")] == []
        async with made.another(address="https://x.example") as outside:
            assert (await outside.get("/login")).status_code == 404
            assert (await outside.get("/sms")).status_code == 303


async def test_no_answer_leads_to_the_address_before_the_proxy(console: Desk) -> None:
    await log_in(console.browser)
    answers = [await console.browser.get(path) for path in ("/login/", "/session/", "/events/")]
    assert [each.status_code for each in answers] == [404, 404, 404]


async def test_who_is_logged_in_is_led_on_from_the_log_in(console: Desk) -> None:
    await log_in(console.browser)
    answer = await console.browser.get("/login?back=/history")
    assert (answer.status_code, answer.headers["location"]) == (303, "/history")


async def test_a_second_log_in_of_a_browser_ends_its_first_session(console: Desk) -> None:
    await log_in(console.browser)
    page = await console.another().get("/login")
    console.browser.cookies.update(page.cookies)
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"token": token[1], "user": "observer", "password": PASSWORD}
    await console.browser.post("/login", data=form, headers=OURS)
    assert [each.you.user for each in console.site.sessions._open.values()] == ["observer"]


# --- log-out and expiry ------------------------------------------------------------------------


async def test_a_log_out_ends_the_session_and_takes_the_cookie(console: Desk) -> None:
    await log_in(console.browser)
    form = {"token": await page_token(console.browser)}
    answer = await console.browser.post("/logout", data=form, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert answer.headers["clear-site-data"] == '"cache"'
    assert "Max-Age=0" in cookies(answer)["sms-8090"]
    assert len(console.site.sessions) == 0


async def test_logging_out_everywhere_ends_the_sessions_of_other_browsers(console: Desk) -> None:
    await log_in(console.browser)
    async with console.another() as other, console.another() as somebody:
        await log_in(other)
        await log_in(somebody, "observer")
        form = {"token": await page_token(console.browser)}
        await console.browser.post("/logout-everywhere", data=form, headers=OURS)
        assert (await other.get("/session")).status_code == 401
        assert (await somebody.get("/session")).status_code == 204


async def test_after_the_idle_time_a_page_leads_to_the_log_in_which_says_why(
    console: Desk,
) -> None:
    await log_in(console.browser)
    console.clock.advance(30 * 60)
    answer = await console.browser.get("/")
    assert answer.status_code == 303
    form = await console.browser.get(answer.headers["location"])
    assert OVER in form.text


async def test_a_page_lengthens_the_session_and_what_it_asks_by_itself_does_not(
    console: Desk,
) -> None:
    await log_in(console.browser)
    console.clock.advance(20 * 60)
    await console.browser.get("/")
    console.clock.advance(20 * 60)
    assert (await console.browser.get("/session")).status_code == 204
    console.clock.advance(10 * 60)
    assert (await console.browser.get("/session")).status_code == 401


async def test_what_a_page_does_after_the_session_gets_a_401(console: Desk) -> None:
    await log_in(console.browser)
    form = {"token": await page_token(console.browser)}
    console.clock.advance(30 * 60)
    answer = await console.browser.post("/logout-everywhere", data=form, headers=OURS)
    assert (answer.status_code, answer.text) == (401, OVER)


async def test_a_log_out_after_the_session_leads_to_the_log_in(console: Desk) -> None:
    await log_in(console.browser)
    form = {"token": await page_token(console.browser)}
    console.clock.advance(30 * 60)
    answer = await console.browser.post("/logout", data=form, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", ["/logout", "/logout-everywhere"])
async def test_no_get_changes_anything(console: Desk, path: str) -> None:
    await log_in(console.browser)
    assert (await console.browser.get(path)).status_code == 405
    assert len(console.site.sessions) == 1


# --- pages and files ---------------------------------------------------------------------------


async def test_a_page_says_what_is_known_when_it_is_asked_for(console: Desk) -> None:
    await log_in(console.browser)
    await console.browser.get("/")
    names = {name for name, _ in console.workers.asked}
    assert names == {"status", "comparison", "series", "alerts", "history"}


async def test_a_page_has_three_files_under_names_of_their_content(console: Desk) -> None:
    await log_in(console.browser)
    page = (await console.browser.get("/")).text
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert [re.sub(r"\.[0-9a-f]{12}\.", ".", each) for each in names] == [
        "/static/icon.svg",
        "/static/console.css",
        "/static/console.js",
    ]
    for name in names:
        answer = await console.browser.get(name)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_a_file_is_compressed_for_who_takes_that(console: Desk) -> None:
    name = "/" + console.site.static.paths["console.js"]
    small = await console.browser.get(name, headers={"Accept-Encoding": "br, gzip;q=0.9"})
    plain = await console.browser.get(name, headers={"Accept-Encoding": "br"})
    assert small.content == plain.content
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"])
    assert small.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("name", ["console.js", "..%2Frender.py", "console.000000000000.js", "x"])
async def test_no_other_file_is_served(console: Desk, name: str) -> None:
    assert (await console.browser.get(f"/static/{name}")).status_code == 404
