"""The page stays live: sections arrive, what a person does is kept, and silence is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.support import console_states as states
from tests.support.waiting import until, until_equal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page

    from tests.support.console_site import ConsoleSite

    Open = Callable[..., Awaitable[Page]]

SHARE: Final = "#stand .share b"
NO_LOCKS: Final = "Object.defineProperty(navigator, 'locks', {value: undefined})"
HIDE: Final = """(hidden) => {
    Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
}"""


async def live(opened: Open, site: ConsoleSite, state: str = "running", **options: object) -> Page:
    """A page whose stream is open."""
    page = await opened(state, fixed=False, **options)
    await until(lambda: site.open_streams)
    return page


async def text(page: Page, selector: str) -> str:
    return (await page.locator(selector).first.text_content() or "").strip()


async def test_a_change_is_shown_and_said_once(opened: Open, site: ConsoleSite) -> None:
    page = await live(opened, site)
    site.shown = states.known(states.state(50))
    await until_equal(lambda: text(page, SHARE), "50 %")
    assert await text(page, "#polite") == "50 % to Africa's Talking."
    await until_equal(page.title, "50 % · SMS migration")


async def test_a_critical_alert_is_said_at_once(opened: Open, site: ConsoleSite) -> None:
    page = await live(opened, site)
    site.shown = states.common_trouble()
    said = "Critical: common trouble: failed: bad in itself, legacy is no better"
    await until_equal(lambda: text(page, "#loud"), said)


async def test_ages_go_on_without_a_new_section(opened: Open, site: ConsoleSite) -> None:
    page = await live(opened, site)
    looked = "#verdict [data-age=looked]"
    await until_equal(lambda: text(page, looked), "4 s ago")
    site.shown = states.older(states.running(), 3.0)
    await until_equal(lambda: text(page, looked), "7 s ago")


async def test_focus_and_what_is_open_survive_an_update(opened: Open, site: ConsoleSite) -> None:
    page = await live(opened, site)
    await page.get_by_text("Details").first.click()
    await page.get_by_role("button", name="Take on").focus()
    newer = states.alert(2, "critical", "something new")
    site.shown = states.known(alerts=[newer, states.LOW_BALANCE])
    await page.locator("#alerts").get_by_text("something new").wait_for()
    focused = await page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("Take on: Warning, USD 412.50 left")
    assert await page.locator("#providers details").get_attribute("open") is not None


async def test_a_selection_survives_an_update(opened: Open, site: ConsoleSite) -> None:
    page = await live(opened, site)
    await page.locator("#verdict .title").first.select_text()
    selected = await page.evaluate("getSelection().toString()")
    site.shown = states.known(states.state(50))
    await until_equal(lambda: text(page, SHARE), "50 %")
    assert await page.evaluate("getSelection().toString()") == selected != ""


async def test_a_console_that_says_nothing_is_lost_and_then_live_again(
    opened: Open, site: ConsoleSite
) -> None:
    page = await live(opened, site, "store-away")
    hold = page.get_by_role("button", name="Hold…")
    site.ticking = False
    await page.get_by_text("Console lost for 4 s").wait_for()
    assert await text(page, "#loud") == "Console lost"
    assert (await page.title()).startswith("25 % ?")
    assert not await hold.is_enabled()
    assert not await page.get_by_text("Live", exact=True).is_visible()
    site.ticking = True
    await until_equal(lambda: text(page, "#loud"), "Live again")
    assert await text(page, "#lost") == ""
    assert await hold.is_enabled()
    # What was off before stays off.
    assert not await page.get_by_role("button", name="Step up…").is_enabled()


async def test_the_verdict_is_not_known_when_the_console_is_lost_for_long(opened: Open) -> None:
    page = await opened("running")
    titles = "[...document.querySelectorAll('#verdict .title')]"
    shown = f"{titles}.filter((each) => each.checkVisibility()).map((each) => each.textContent)"
    assert [each[2:] for each in await page.evaluate(shown)] == ["Healthy"]
    lost = f"() => {{ document.documentElement.dataset.lost = 'long'; return {shown}; }}"
    assert [each[2:] for each in await page.evaluate(lost)] == ["Not known"]


async def test_an_answer_that_is_no_stream_is_tried_again(opened: Open, site: ConsoleSite) -> None:
    site.streaming = False
    page = await opened("running", fixed=False)
    await until(lambda: site.refused >= 2, 10.0)
    site.streaming = True
    site.shown = states.known(states.state(50))
    await until_equal(lambda: text(page, SHARE), "50 %", 10.0)


@pytest.mark.parametrize("how", ["told", "found"])
async def test_the_page_stays_when_the_session_is_over(
    opened: Open, site: ConsoleSite, how: str
) -> None:
    page = await live(opened, site)
    if how == "found":
        site.telling = False
    site.ended = True
    await page.get_by_text("You were logged out at").first.wait_for(timeout=10_000)
    link = page.get_by_role("link", name="Log in again")
    assert (await link.first.get_attribute("href") or "").endswith("/login")
    assert await text(page, SHARE) == "25 %"
    assert not await page.get_by_role("button", name="Emergency rollback").is_visible()
    assert not await page.get_by_role("button", name="Hold…").is_visible()


async def test_eight_tabs_share_one_stream(opened: Open, site: ConsoleSite) -> None:
    pages = [await opened("running", fixed=False, context="one") for _ in range(8)]
    await until_equal(lambda: site.open_streams, 1)
    site.shown = states.known(states.state(50))
    for page in pages:
        await until_equal(lambda page=page: text(page, SHARE), "50 %")
    assert site.open_streams == 1


async def test_another_tab_goes_on_when_the_one_with_the_stream_is_closed(
    opened: Open, site: ConsoleSite
) -> None:
    first = await opened("running", fixed=False, context="one")
    second = await opened("running", fixed=False, context="one")
    await until_equal(lambda: site.open_streams, 1)
    await second.close()
    site.shown = states.known(states.state(50))
    await until_equal(lambda: text(first, SHARE), "50 %", 10.0)
    await until_equal(lambda: site.open_streams, 1)


async def test_hidden_tabs_let_go_of_their_stream_where_locks_are_missing(
    opened: Open, site: ConsoleSite
) -> None:
    page = await live(opened, site, init=NO_LOCKS)
    await page.evaluate(HIDE, arg=True)
    await until_equal(lambda: site.open_streams, 0)
    site.shown = states.known(states.state(50))
    await page.evaluate(HIDE, arg=False)
    await until_equal(lambda: text(page, SHARE), "50 %")
