"""A person at the console, in a real browser.

Rules: a person finds things as people do: by role, name and text. What the page logs as an error,
throws, or loads from elsewhere is collected; a test ends with `Person.undisturbed`.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from playwright.async_api import expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext, Locator, Page, Request

DESK: Final = (1366, 768)
WITHIN_MS: Final = 15_000


@dataclass
class Person:
    """Somebody at a console, in a browser of their own.

    Attributes:
        address: of the console.
        context: what the browser keeps: cookies, storage.
        page: the tab.
        disturbances: errors of the page, and requests that leave its origin.
    """

    address: str
    context: BrowserContext
    page: Page
    disturbances: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def at(
        cls, browser: Browser, address: str, size: tuple[int, int] = DESK
    ) -> AsyncIterator[Self]:
        """Open a browser window of that size."""
        width, height = size
        context = await browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(WITHIN_MS)
        person = cls(address, context, await context.new_page())
        person._listen(person.page)
        try:
            yield person
        finally:
            await context.close()

    def _listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.disturbances.append(str(error)))
        page.on("request", self._requested)
        page.on(
            "console",
            lambda said: self.disturbances.append(said.text) if said.type == "error" else None,
        )

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.disturbances.append(f"left the origin: {request.url}")

    def undisturbed(self) -> None:
        """Assert that no error was logged or thrown, and nothing came from elsewhere."""
        assert self.disturbances == []

    # --- what a person does ------------------------------------------------------------------

    async def log_in(self, user: str, password: str) -> None:
        """Log in, and wait for the page "Now"."""
        await self.page.goto(f"{self.address}/")
        await self.page.get_by_label("Name").fill(user)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()
        await self.sees("Where it stands")

    async def goes(self, view: str) -> None:
        """Go to a view, by its path; empty: the page "Now"."""
        await self.page.goto(f"{self.address}/{view}")

    async def opens(self, button: str) -> Locator:
        """Press a button that opens a dialog; return the dialog."""
        await self.page.get_by_role("button", name=button, exact=True).first.click()
        return await self.dialog()

    async def dialog(self) -> Locator:
        """The open dialog."""
        found = self.page.locator("dialog[open]")
        await expect(found.locator("h2")).to_be_visible()
        return found

    async def confirms(self, button: str, reason: str, says: str = "replicas follow") -> str:
        """Give the reason, press the button, and return what the dialog then says."""
        dialog = await self.dialog()
        form = dialog.locator("form").filter(has=self.page.get_by_role("button", name=button))
        await form.last.locator("[name=reason]").fill(reason)
        await form.last.get_by_role("button", name=button).click()
        await expect(dialog).to_contain_text(says)
        return await self._closes(dialog)

    async def overrides(self, reason: str, environment: str = "") -> str:
        """Pass the shut gates for a reason; return what the dialog says when all follow."""
        dialog = await self.dialog()
        await dialog.get_by_text("Pass the gates all the same").click()
        if environment:
            await dialog.locator("details [name=environment]").fill(environment)
        return await self.confirms("Pass the gates", reason)

    async def _closes(self, dialog: Locator) -> str:
        said = await dialog.inner_text()
        await dialog.get_by_role("link", name="Close").click()
        await expect(self.page.locator("dialog[open]")).to_have_count(0)
        return said

    # --- what a person sees ------------------------------------------------------------------

    async def sees(
        self, text: str, where: str = "main", within_s: float = WITHIN_MS / 1_000
    ) -> None:
        """Wait until a text stands there."""
        await expect(self.page.locator(where)).to_contain_text(text, timeout=within_s * 1_000)

    async def sees_share(self, percentage: int) -> None:
        """Wait until the card and the tab say this share."""
        await expect(self.page.locator("#stand .share b")).to_have_text(f"{percentage} %")
        await expect(self.page).to_have_title(_titled(percentage))


def _titled(percentage: int) -> re.Pattern[str]:
    return re.compile(rf"^(! )?{percentage} % · ")
