"""Takes a picture of the console's page in every state into `.local/shots`, for people to look at.

One of them is the picture in README.md.

Run as `python -m tests.support.console_shots [STATE[,STATE...]] [SIZE[,SIZE...]]`.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.browser import SIZES, chromium
from tests.support.console_site import ConsoleSite
from tests.support.console_states import AT, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.async_api import Browser

SHOTS: Final = Path(".local/shots")
PICTURE: Final = Path("deploy/pictures/console.png")
"""Stands in README.md."""
PICTURED: Final = "running-desk.png"
WHOLE: Final = frozenset({"phone"})
"""Sizes at which the page is longer than the window, and is pictured whole."""


async def take(states: Sequence[str], sizes: Sequence[str]) -> None:
    """Take the pictures."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with ConsoleSite(ticking=False).served() as site, chromium() as browser:
        for size in sizes:
            await _take(browser, site, states, size)


async def _take(browser: Browser, site: ConsoleSite, states: Sequence[str], size: str) -> None:
    context = await browser.new_context(**SIZES[size], timezone_id="Africa/Lusaka")
    page = await context.new_page()
    await page.clock.set_fixed_time(AT)
    for state in states:
        await page.goto(site.address(state, "/login" if state == "login" else "/"))
        await page.screenshot(path=SHOTS / f"{state}-{size}.png", full_page=size in WHOLE)
    await context.close()


def keep_picture() -> None:
    """Renew the picture in README.md, if it was taken."""
    if (SHOTS / PICTURED).exists():
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copyfile(SHOTS / PICTURED, PICTURE)


if __name__ == "__main__":
    given = [argument.split(",") for argument in sys.argv[1:]]
    chosen = given[0] if given and given[0] != ["all"] else [*STATES, "login"]
    asyncio.run(take(chosen, given[1] if len(given) > 1 else list(SIZES)))
    keep_picture()
