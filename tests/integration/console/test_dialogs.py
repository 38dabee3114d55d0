"""Dialogs and keys: a fragment is opened, sent and followed, and what was typed is not lost."""

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

HOLD: Final = """<article><h2 tabindex="-1">Hold automation?</h2><p role="status"></p>
<form method="post" action="command/hold" data-check="dialog/hold">
<input type="hidden" name="commandId" value="id-1"><p id="effect">{effect}</p>
<label for="reason">Reason</label><input id="reason" name="reason" value="" autofocus>
<a href="." data-do="close">Cancel</a><button data-guard>Hold automation</button>
</form></article>"""
SENT: Final = """<article data-poll="done/1"><h2 tabindex="-1">Sent</h2>
<div role="status"></div></article>"""
DONE: Final = """<article><h2 tabindex="-1">Accepted</h2>
<div role="status">2 of 2 replicas follow</div>
<a class="button" href="." data-do="close" autofocus>Close</a></article>"""


@pytest.fixture
def steered(site: ConsoleSite) -> ConsoleSite:
    """A site that knows one dialog, which needs two looks to be done."""
    looks = iter((SENT, SENT, DONE))
    site.fragments = {
        "dialog/hold": lambda form: HOLD.format(effect=f"Effect of {form.get('reason', '')}"),
        "command/hold": lambda _: SENT,
        "done/1": lambda _: next(looks),
        "dialog/step": lambda _: HOLD.replace("Hold automation?", "Step up?"),
        "dialog/emergency-rollback": lambda _: HOLD.replace("Hold automation?", "Everything?"),
        "history": lambda _: "<!doctype html><title>History</title>",
    }
    return site


async def hold(page: Page) -> Page:
    """Open the dialog."""
    await page.get_by_role("button", name="Hold…").click()
    await page.get_by_role("heading", name="Hold automation?").wait_for()
    return page


def posts(site: ConsoleSite, path: str) -> list[dict[str, str]]:
    return [form for method, asked, form in site.asked if method == "POST" and asked == path]


async def status(page: Page) -> str:
    return (await page.locator("dialog [role=status]").text_content() or "").strip()


async def test_a_form_is_sent_and_followed_until_it_is_done(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").fill("waiting for the bank")
    await page.get_by_role("button", name="Hold automation").click()
    await page.get_by_text("2 of 2 replicas follow").wait_for()
    assert posts(steered, "command/hold") == [
        {"commandId": "id-1", "reason": "waiting for the bank"}
    ]
    assert await page.evaluate("document.activeElement.textContent") == "Close"


async def test_the_focus_returns_to_the_button_that_opened_it(
    opened: Open, steered: ConsoleSite
) -> None:
    assert steered.fragments
    page = await hold(await opened("running"))
    assert await page.evaluate("document.activeElement.id") == "reason"
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.textContent") == "Hold…"


async def test_a_double_click_on_the_emergency_sends_nothing(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await opened("running")
    await page.get_by_role("button", name="Emergency rollback", exact=True).dblclick()
    await page.get_by_role("heading", name="Everything?").wait_for()
    assert await page.get_by_role("button", name="Hold automation").is_disabled()
    await until(page.get_by_role("button", name="Hold automation").is_enabled)
    assert posts(steered, "command/hold") == []


async def test_the_effect_of_what_is_typed_is_shown_and_the_text_stays(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").press_sequentially("bank", delay=20)
    await page.get_by_text("Effect of bank").wait_for()
    assert await page.get_by_label("Reason").input_value() == "bank"
    assert await page.evaluate("document.activeElement.id") == "reason"
    assert len(posts(steered, "dialog/hold")) == 1


async def test_typed_text_survives_updates_of_the_page(opened: Open, steered: ConsoleSite) -> None:
    page = await hold(await opened("running", fixed=False))
    await page.get_by_label("Reason").fill("waiting for the bank")
    steered.shown = states.known(states.state(50))
    await until_equal(page.locator("#stand .share b").text_content, "50 %")
    assert await page.get_by_label("Reason").input_value() == "waiting for the bank"


async def test_typed_text_survives_a_console_that_is_away(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").fill("waiting for the bank")
    steered.answering = False
    await page.get_by_role("button", name="Hold automation").click()
    await until(lambda: status(page))
    assert "What you typed stays" in await status(page)
    assert await page.get_by_label("Reason").input_value() == "waiting for the bank"
    steered.answering = True
    await page.get_by_role("heading", name="Sent").wait_for()
    sent = posts(steered, "command/hold")
    assert sent
    assert {form["commandId"] for form in sent} == {"id-1"}


async def test_typed_text_is_there_again_when_the_page_was_loaded_anew(
    opened: Open, steered: ConsoleSite
) -> None:
    assert steered.fragments
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").press_sequentially("bank")
    await page.reload()
    await hold(page)
    assert await page.get_by_label("Reason").input_value() == "bank"


async def test_a_cancelled_text_is_forgotten(opened: Open, steered: ConsoleSite) -> None:
    assert steered.fragments
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").press_sequentially("bank")
    await page.get_by_role("link", name="Cancel").click()
    await hold(page)
    assert await page.get_by_label("Reason").input_value() == ""


async def test_a_page_that_is_loaded_anew_follows_its_command_on(
    opened: Open, steered: ConsoleSite
) -> None:
    steered.fragments["done/1"] = lambda _: SENT
    page = await hold(await opened("running"))
    await page.get_by_role("button", name="Hold automation").click()
    await page.get_by_role("heading", name="Sent").wait_for()
    await page.reload()
    await page.get_by_role("heading", name="Sent").wait_for()
    steered.fragments["done/1"] = lambda _: DONE
    await page.get_by_text("2 of 2 replicas follow").wait_for()


async def test_a_dialog_opens_while_the_console_is_away_and_says_the_command_line(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await opened("running")
    steered.answering = False
    await page.get_by_role("button", name="Emergency rollback", exact=True).click()
    await page.get_by_role("heading", name="The console does not answer").wait_for()
    assert await page.get_by_text("sms-worker ctl emergency-rollback").is_visible()
    steered.answering = True
    await page.get_by_role("heading", name="Everything?").wait_for()


async def test_a_session_that_is_over_keeps_the_dialog_and_its_text(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await hold(await opened("running", fixed=False))
    await page.get_by_label("Reason").fill("waiting for the bank")
    steered.ended = True
    await page.locator("dialog").get_by_text("You were logged out at").wait_for(timeout=10_000)
    assert await page.get_by_label("Reason").input_value() == "waiting for the bank"
    assert not await page.get_by_role("button", name="Hold automation").is_visible()
    assert await page.locator("dialog").get_by_role("link", name="Log in again").is_visible()


# --- keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "heading"), [("!", "Everything?"), ("s", "Step up?"), ("?", "Keyboard shortcuts")]
)
async def test_a_key_opens_its_dialog(
    opened: Open, steered: ConsoleSite, key: str, heading: str
) -> None:
    assert steered.fragments
    page = await opened("running")
    await page.keyboard.press(key)
    await page.get_by_role("heading", name=heading).wait_for()


async def test_two_keys_lead_to_a_view(opened: Open, steered: ConsoleSite) -> None:
    assert steered.fragments
    page = await opened("running")
    await page.keyboard.press("g")
    await page.keyboard.press("h")
    await page.wait_for_url("**/history")


async def test_keys_do_nothing_while_typing_and_in_a_dialog(
    opened: Open, steered: ConsoleSite
) -> None:
    page = await hold(await opened("running"))
    await page.get_by_label("Reason").press_sequentially("!s?")
    assert await page.get_by_label("Reason").input_value() == "!s?"
    assert not [path for _, path, _ in steered.asked if path != "dialog/hold"]


async def test_keys_can_be_switched_off_and_stay_off(opened: Open, steered: ConsoleSite) -> None:
    page = await opened("running", context="one")
    await page.get_by_text("amina · administrator").click()
    switch = page.get_by_role("button", name="Keyboard shortcuts")
    await switch.click()
    assert (await switch.inner_text()).endswith("off")
    page = await opened("running", context="one")
    await page.keyboard.press("s")
    await page.keyboard.press("!")
    await page.get_by_role("button", name="Hold…").click()
    await page.get_by_role("heading", name="Hold automation?").wait_for()
    assert [path for _, path, _ in steered.asked] == ["dialog/hold"]


async def test_every_control_of_the_page_is_reached_by_keyboard(
    opened: Open, steered: ConsoleSite
) -> None:
    steered.ticking = False
    page = await opened("approval")
    reached = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
    wanted = ["Now", "History", "Log out", "Emergency rollback", "Approve…", "Reject…"]
    assert [each for each in reached if each in wanted][: len(wanted)] == wanted
