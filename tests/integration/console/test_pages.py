"""How the page looks in each state: it fits, it reads well, and axe finds nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.console_states import STATES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page

    from tests.support.console_site import ConsoleSite

    Open = Callable[..., Awaitable[Page]]

AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text()
DISTINCT: Final = (
    "not-started", "one-percent", "running", "approval", "held", "sick-replica", "common-trouble",
    "locked", "rollback-wanted", "complete", "store-away", "broker-away", "no-worker", "old",
    "stale", "first",
)  # fmt: skip
"""States that differ in what they are made of, and not in their words alone."""
COLOURED: Final = ("one-percent", "locked", "common-trouble", "store-away", "stale")
"""States that have all colours between them."""
SCROLLED: Final = """[
    document.documentElement.scrollHeight, document.documentElement.scrollWidth, innerWidth
]"""
CLIPPED: Final = """() => [...document.querySelectorAll('.now .card, .now .card p, .now button')]
    .filter((each) => each.offsetParent && !each.closest('.panel, #alerts li, .out'))
    .filter((each) => each.scrollWidth > each.clientWidth + 1
        || each.scrollHeight > each.clientHeight + 1)
    .map((each) => `${each.closest('.card').id}: ${each.textContent.trim().slice(0, 60)}`)"""
"""Cards, texts and buttons that do not hold what they say."""
SMALL: Final = """() => [...document.querySelectorAll('button, summary, nav a')]
    .filter((each) => each.offsetParent)
    .map((each) => [each.textContent.trim(), each.getBoundingClientRect()])
    .filter(([, box]) => box.height < 44 || box.width < 44)
    .map(([text, box]) => `${text}: ${box.width} x ${box.height}`)"""
BANNERS: Final = frozenset(
    {"store-away", "broker-away", "no-worker", "login-refused", "never-a-worker", "old", "stale"}
)
TOPS: Final = """['stand', 'trend', 'gates']
    .map((id) => document.getElementById(id).getBoundingClientRect().top)"""


# --- how it looks --------------------------------------------------------------------------


async def test_every_state_fits_a_laptop_without_scrolling_and_without_clipped_text(
    opened: Open, site: ConsoleSite
) -> None:
    site.ticking = False
    page = await opened("running")
    wrong = {}
    for state in STATES:
        await page.goto(site.address(state))
        height, width, _ = await page.evaluate(SCROLLED)
        clipped = await page.evaluate(CLIPPED)
        if height > 768 or width > 1366 or clipped:
            wrong[state] = (height, width, clipped)
    assert wrong == {}


async def test_rows_do_not_move_from_one_state_to_another(opened: Open, site: ConsoleSite) -> None:
    site.ticking = False
    page = await opened("running")
    tops = set()
    for state in STATES:
        if state in BANNERS:
            continue
        await page.goto(site.address(state))
        tops.add(tuple(await page.evaluate(TOPS)))
    assert len(tops) == 1


@pytest.mark.parametrize("width", [320, 390, 683, 1024])
async def test_no_width_needs_sideways_scrolling(
    opened: Open, site: ConsoleSite, width: int
) -> None:
    site.ticking = False
    page = await opened("running", viewport={"width": width, "height": 800})
    wide = {}
    for state in ("running", "locked", "common-trouble", "broker-away", "sick-replica"):
        await page.goto(site.address(state))
        _, scrolls, window = await page.evaluate(SCROLLED)
        if scrolls != window:
            wide[state] = scrolls
    assert wide == {}


async def test_what_is_touched_on_a_phone_is_large_enough(opened: Open, site: ConsoleSite) -> None:
    site.ticking = False
    page = await opened("approval", size="phone")
    assert await page.evaluate(SMALL) == []


async def test_the_emergency_button_stays_in_sight_on_a_phone(opened: Open) -> None:
    page = await opened("running", size="phone")
    await page.mouse.wheel(0, 3_000)
    box = await page.get_by_role("button", name="Emergency rollback", exact=True).bounding_box()
    assert box is not None
    assert 844 - 80 < box["y"] < 844


async def test_the_views_are_behind_a_menu_on_a_phone(opened: Open) -> None:
    page = await opened("running", size="phone")
    history = page.get_by_role("link", name="History", exact=True)
    assert not await history.is_visible()
    await page.get_by_role("button", name="Menu").click()
    assert await history.is_visible()


# --- for everybody -------------------------------------------------------------------------


async def test_axe_finds_nothing_in_any_state(opened: Open, site: ConsoleSite) -> None:
    site.ticking = False
    page = await opened("running", path="/login")
    wrong = {"login": await violations(page)}
    for state in DISTINCT:
        await page.goto(site.address(state))
        wrong[state] = await violations(page)
    assert {state: found for state, found in wrong.items() if found} == {}


async def test_axe_finds_no_faint_colour_in_the_dark(opened: Open, site: ConsoleSite) -> None:
    site.ticking = False
    page = await opened("running", path="/login", size="dark")
    wrong = {"login": await violations(page, "color-contrast")}
    for state in COLOURED:
        await page.goto(site.address(state))
        wrong[state] = await violations(page, "color-contrast")
    assert {state: found for state, found in wrong.items() if found} == {}


async def violations(page: Page, only: str | None = None) -> list[str]:
    """What axe finds, of any impact, by all its rules or only one."""
    await page.evaluate(AXE)
    options = {"resultTypes": ["violations"], **({"runOnly": [only]} if only else {})}
    result = await page.evaluate("(options) => axe.run(document, options)", options)
    assert len(result["passes"]) >= (1 if only else 10)  # it did look
    return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in result["violations"]]


async def test_axe_would_find_an_image_without_a_name(opened: Open) -> None:
    page = await opened("running")
    await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert [each.partition(":")[0] for each in await violations(page)] == ["image-alt"]


async def test_axe_finds_nothing_in_open_panels_and_in_the_list_of_keys(opened: Open) -> None:
    page = await opened("common-trouble")
    for summary in await page.locator(".now summary").all():
        await summary.click()
    assert await violations(page) == []
    await page.keyboard.press("?")
    await page.get_by_role("heading", name="Keyboard shortcuts").wait_for()
    assert await violations(page) == []


async def test_a_chart_has_a_sentence_and_a_real_table(opened: Open) -> None:
    page = await opened("running")
    name = "Share to Africa's Talking: 25 % now, 6 changes in the last 24 hours."
    assert await page.get_by_role("img", name=name).count() == 1
    await page.get_by_text("Show as a table").first.click()
    rows = page.get_by_role("region", name="Table of the charts").get_by_role("row")
    assert await rows.count() > 20


async def test_times_are_in_the_readers_zone_with_utc_beside(opened: Open) -> None:
    page = await opened("running", timezone_id="Africa/Lusaka")
    time = page.locator("#history time").first
    assert await time.text_content() == "06:19"
    assert await time.get_attribute("title") == "2026-03-04 04:19:52 UTC"
    assert await page.locator("[data-zone]").text_content() == "Africa/Lusaka"


async def test_the_theme_is_switched_and_kept(opened: Open) -> None:
    page = await opened("running", context="one")
    dark = "getComputedStyle(document.body).backgroundColor"
    before = await page.evaluate(dark)
    await page.get_by_text("amina · administrator").click()
    await page.get_by_role("button", name="Dark or light").click()
    assert await page.evaluate(dark) != before
    again = await opened("running", context="one")
    assert await again.evaluate(dark) == await page.evaluate(dark)
