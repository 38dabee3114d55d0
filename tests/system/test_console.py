"""The console in a real browser, through a whole migration on the real stack."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from contracts import control
from tests.support.browser import chromium
from tests.support.console_person import WITHIN_MS, Person
from tests.support.paced import Paced
from tests.support.people import add_person
from tests.support.trouble import DEAD, prove
from tests.support.waiting import until
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from tests.support.whole_system import System

CONSOLE = True
ROLES: Final = {
    "administrator": "administrator",
    "observer": "observer",
    "amina": "administrator",
    "joseph": "administrator",
    "olu": "operator",
}
PROFILE = {"SMS_ROLES": json.dumps(ROLES)}


@dataclass
class Office:
    """Everybody who may log in.

    Attributes:
        system: the running stack.
        browser: theirs.
        passwords: by name.
        doors: closed at the end.
    """

    system: System
    browser: Browser
    passwords: dict[str, str]
    doors: AsyncExitStack

    async def stands(self, phase: Phase, percentage: int) -> None:
        """Put a share in force, as if nothing had happened before: no lock, no hold, no fault."""
        for kind in (control.EmergencyRollback, control.Unlock):
            await self.system.steer.do(kind)
        await self.system.put(phase, percentage)
        await self.system.steer.do(control.Resume)

    async def enters(self, name: str) -> Person:
        """Log in, in a browser window of their own."""
        address = self.system.stack.http["console"]
        person = await self.doors.enter_async_context(Person.at(self.browser, address))
        await person.log_in(name, self.passwords[name])
        return person


@pytest.fixture(scope="module")
async def passwords(system: System) -> dict[str, str]:
    broker = system.stack.broker
    assert broker is not None
    known = {name: broker.cluster.passwords[name] for name in ("administrator", "observer")}
    people = {name: "administrator" for name in ROLES if name not in known}
    return known | {name: await add_person(broker, name, like) for name, like in people.items()}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=WITHIN_MS)
    async with chromium() as running:
        yield running


@pytest.fixture
async def office(
    healthy: System, browser: Browser, passwords: dict[str, str]
) -> AsyncIterator[Office]:
    async with AsyncExitStack() as doors:
        yield Office(healthy, browser, passwords, doors)


@pytest.fixture
async def traffic(healthy: System) -> AsyncIterator[Paced]:
    """A steady stream of messages."""
    sent = Paced(
        healthy, "office", ("bulk", "transactional"), 200,
        told=lambda name: healthy.events.first(name, "sms.sent") is not None
        or healthy.events.first(name, "sms.unknown") is not None,
        rate=30,
    )  # fmt: skip
    flowing = asyncio.ensure_future(sent.flow())
    yield sent
    sent.stop()
    await flowing


async def test_a_migration_from_its_beginning_to_an_automatic_rollback(
    office: Office, traffic: Paced
) -> None:
    amina, joseph = await office.enters("amina"), await office.enters("joseph")
    await amina.sees("Not started", "#verdict")

    await amina.opens("Begin…")
    assert "2 of 2 replicas follow" in await amina.confirms("Advance to", "week one")
    await amina.sees_share(1)
    await joseph.sees_share(1)
    await joseph.sees("amina", "#history")

    dialog = await amina.opens("Set share…")
    await dialog.get_by_label("Share").fill("5")
    await expect(dialog).to_contain_text("messages an hour move to Africa's Talking")
    await amina.overrides("the bank asks for it")
    await joseph.sees_share(5)
    assert await target_gets(office.system, traffic)

    await office.system.steer.automation(rolls_back=True)
    await office.system.put(Phase.GRADUAL_MIGRATION, 25)
    await prove(office.system)
    await joseph.sees_share(25)
    await office.system.faults("africastalking", DEAD)
    await joseph.sees("Rolled back, locked", "#verdict", within_s=90.0)
    await joseph.sees_share(0)
    told = joseph.page.locator("#alerts li").filter(has_text="now Rollback at 0 %")
    await told.get_by_role("button", name="Take on").click()
    dialog = await joseph.dialog()
    await dialog.locator("[name=reason]").fill("I look into it")
    await dialog.get_by_role("button", name="Take on").click()
    await expect(dialog).to_contain_text("acknowledged")
    await amina.sees("joseph is on it", "#alerts")

    for person in (amina, joseph):
        person.undisturbed()


async def target_gets(system: System, traffic: Paced) -> bool:
    """Wait until the target took a message that was published after now."""
    before = set(traffic.names)

    def taken() -> bool:
        lines = (line for line in system.taken() if line["provider"] == "africastalking")
        return any(line["key"] not in before for line in lines)

    return bool(await until(taken))


async def test_an_emergency_by_keyboard_and_what_was_before_restored(office: Office) -> None:
    await office.system.steer.automation(rolls_back=False)
    await office.stands(Phase.GRADUAL_MIGRATION, 25)
    olu, amina = await office.enters("olu"), await office.enters("amina")
    await olu.sees_share(25)
    await amina.goes("more")
    dialog = await amina.opens("Back up…")
    await dialog.get_by_label("Name").fill("before-lunch")
    await amina.confirms("Name this version", "to come back to", "Accepted")

    await olu.page.keyboard.press("!")
    dialog = await olu.dialog()
    await expect(dialog.get_by_role("button", name="Send everything to Legacy")).to_be_enabled()
    await olu.page.keyboard.press("Tab")
    await olu.page.keyboard.press("Tab")
    await expect(dialog.locator("button.danger")).to_be_focused()
    await olu.page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("2 of 2 replicas follow")
    await amina.goes("")
    await amina.sees_share(0)
    await amina.sees("olu", "#history")

    await amina.goes("more")
    row = amina.page.get_by_role("row", name="before-lunch")
    await row.get_by_role("button", name="Restore…").click()
    await amina.overrides("the outage is over", environment="local")
    await olu.sees_share(25)
    for person in (olu, amina):
        person.undisturbed()


async def test_a_broker_that_restarts_leaves_an_open_dialog_and_its_text(office: Office) -> None:
    await office.stands(Phase.GRADUAL_MIGRATION, 25)
    amina = await office.enters("amina")
    dialog = await amina.opens("Set share…")
    await dialog.get_by_label("Share").fill("10")
    await dialog.locator("[name=reason]").first.fill("typed before")
    broker = office.system.stack.broker
    assert broker is not None
    await broker.kill()
    await amina.sees("Broker away", "#banner")
    await broker.restart()
    await expect(amina.page.locator("#banner")).not_to_contain_text("Broker away", timeout=60_000)
    await expect(dialog.locator("[name=reason]").first).to_have_value("typed before")
    await amina.confirms("Set the share to 10 %", "typed after")
    await amina.sees_share(10)


async def test_a_console_that_restarts_keeps_the_page_and_asks_for_the_log_in(
    office: Office,
) -> None:
    amina = await office.enters("amina")
    dialog = await amina.opens("Set share…")
    await dialog.locator("[name=reason]").first.fill("typed before")
    parts = office.system.stack._children
    console = next(part for part in parts if part.name == "console")
    await console.stop()
    await amina.sees("Console lost", "header")
    await console.start()
    await amina.sees("You were logged out", "#over")
    await expect(dialog.locator("[name=reason]").first).to_have_value("typed before")


async def test_a_proposal_waits_for_somebody_else(office: Office) -> None:
    await office.stands(Phase.PARALLEL_SETUP, 1)
    await four_eyes(office.system, wanted=True)
    amina, joseph = await office.enters("amina"), await office.enters("joseph")
    await amina.opens("Set share…")
    dialog = await amina.dialog()
    await dialog.get_by_label("Share").fill("5")
    await dialog.get_by_text("Pass the gates all the same").click()
    form = dialog.locator("details form")
    await form.locator("[name=reason]").fill("two of us want it")
    await form.get_by_role("button").click()
    await expect(dialog).to_contain_text("proposal")

    await joseph.sees("Proposal", "#decide")
    await joseph.opens("Approve…")
    await joseph.overrides("agreed")
    await amina.sees_share(5)
    await four_eyes(office.system, wanted=False)
    for person in (amina, joseph):
        person.undisturbed()


async def four_eyes(system: System, *, wanted: bool) -> None:
    """Whether a second person approves moves upwards."""
    reply = await system.steer.ask(control.Status)
    assert reply.state is not None
    flags = {**reply.state.flags}
    flags["MigrationSettings"] = {**flags["MigrationSettings"], "FourEyes": wanted}
    await system.steer.do(control.SetFlags, flags=flags)


async def test_the_second_of_two_who_act_at_once_is_told_what_the_first_did(
    office: Office,
) -> None:
    await office.stands(Phase.GRADUAL_MIGRATION, 25)
    amina, joseph = await office.enters("amina"), await office.enters("joseph")
    dialog = await amina.opens("Step up…")
    await joseph.opens("Set share…")
    other = await joseph.dialog()
    await other.get_by_label("Share").fill("10")
    await joseph.confirms("Set", "too fast for me")

    await dialog.get_by_text("Pass the gates all the same").click()
    form = dialog.locator("details form")
    await form.locator("[name=reason]").fill("go on")
    await form.get_by_role("button").click()
    await expect(dialog).to_contain_text("joseph")
    await expect(dialog).to_contain_text("Look again")
    await amina.sees_share(10)


async def test_an_observer_finds_no_control_and_a_forged_command_is_refused(
    office: Office,
) -> None:
    await office.stands(Phase.GRADUAL_MIGRATION, 25)
    observer = await office.enters("observer")
    await observer.sees_share(25)
    for address in ("/", "/history", "/flags", "/explain", "/more"):
        await observer.page.goto(office.system.stack.http["console"] + address)
        assert await observer.page.locator("[data-dialog*='/dialog/']").count() == 0
        assert await observer.page.locator("form[action*='/command/']").count() == 0
        assert await observer.page.locator("form[action*='/dialog/']").count() == 0
    status = await observer.page.evaluate(
        """async () => {
          const token = document.querySelector('[name=token]').value;
          const fields = {token, commandId: crypto.randomUUID(), reason: "forged"};
          const body = new URLSearchParams(fields);
          return (await fetch('command/emergency-rollback', {method: 'post', body})).status;
        }"""
    )
    assert status == 403
    reply = await office.system.steer.ask(control.Status)
    assert reply.state is not None
    assert reply.state.percentage == 25
