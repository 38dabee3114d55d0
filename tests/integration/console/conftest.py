"""The console's page in a real browser, without a broker: `ConsoleSite` shows each state.

One browser for the tests of a file; each test has its own context, and so its own cookies and
storage. What the page's policy refuses, and any error of its script, fails the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.browser import SIZES, chromium
from tests.support.console_site import ConsoleSite
from tests.support.console_states import AT

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

Open = Callable[..., Awaitable["Page"]]
PATIENCE_MS: Final = 10_000
_OF_THE_NETWORK: Final = ("net::ERR", "the server responded with a status of")
"""What the browser says when a console is away: that is tried on purpose."""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def site() -> AsyncIterator[ConsoleSite]:
    async with ConsoleSite().served() as served:
        yield served


@dataclass
class _Opener:
    browser: Browser
    site: ConsoleSite
    contexts: dict[str, BrowserContext] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def open(
        self,
        state: str,
        *,
        path: str = "/",
        size: str = "desk",
        context: str = "",
        fixed: bool = True,
        init: str = "",
        **options: Any,
    ) -> Page:
        """Open a page.

        Args:
            state: that it shows.
            path: below the base of the state.
            size: how it looks; see `SIZES`.
            context: pages of one name share cookies and storage, like tabs of a browser.
            fixed: whether it is always the moment of the states.
            init: script that runs before those of the page.
            options: further ones of the context.
        """
        if context not in self.contexts:
            self.contexts[context] = await self.browser.new_context(**(SIZES[size] | options))
        page = await self.contexts[context].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: said.type == "error" and self.fault(said.text))
        page.on("pageerror", lambda error: self.fault(str(error)))
        if fixed:
            await page.clock.set_fixed_time(AT)
        if init:
            await page.add_init_script(init)
        await page.goto(self.site.address(state, path))
        return page

    def fault(self, text: str) -> None:
        if not any(known in text for known in _OF_THE_NETWORK):
            self.faults.append(text)


@pytest.fixture
async def opened(browser: Browser, site: ConsoleSite) -> AsyncIterator[Open]:
    opener = _Opener(browser, site)
    yield opener.open
    for context in opener.contexts.values():
        await context.close()
    assert opener.faults == []
