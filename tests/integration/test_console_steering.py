"""Steering through the console on a real broker: what works, and what a forged form gets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from contracts import control
from tests.integration.control_bench import Harness, bench
from tests.support.console_fakes import OURS, token_of
from tests.support.console_visitor import Visitor, console, password
from tests.support.steered import hidden, text_of
from tests.support.steering import command
from worker.broker.control_client import ControlClient, NotAllowed
from worker.domain.migration.access import AccessRole
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

    Url = Callable[[str], str]

FRAGMENT = {"X-Fragment": "1"}


@pytest.fixture
async def two(amqp_url: Url, mongo_url: str, database_name: str) -> AsyncIterator[Harness]:
    async with bench(amqp_url, mongo_url, database_name, count=2) as made:
        yield made


@pytest.fixture
async def visitor(amqp_url: Url, two: Harness) -> AsyncIterator[Visitor]:
    """An administrator at a console with two replicas behind it."""
    del two
    async with console(amqp_url) as address, Visitor.at(address) as made:
        await made.enter("administrator", password(amqp_url("administrator")))
        yield made


async def sent(visitor: Visitor, name: str, **form: str) -> httpx.Response:
    """Send the form of a dialog, as its script does."""
    data = {"token": token_of((await visitor.http.get("/more")).text), **form}
    return await visitor.http.post(f"/command/{name}", data=data, headers=OURS | FRAGMENT)


async def outcome(visitor: Visitor, answer: httpx.Response) -> str:
    """What the dialog says in the end: it asks again until there is nothing more to ask."""
    while found := re.search(r'data-poll="([^"]+)"', answer.text):
        answer = await visitor.http.get(found[1], headers=FRAGMENT)
    return text_of(answer.text)


async def test_a_move_is_previewed_sent_and_followed_by_every_replica(
    visitor: Visitor, two: Harness
) -> None:
    dialog = await visitor.http.get("/dialog/advance", headers=FRAGMENT)
    said = text_of(dialog.text)
    assert "Africa's Talking goes from 0 % to 1 %" in said
    assert "Advance to Parallel setup at 1 %" in said
    form = {name: hidden(dialog.text, name) for name in ("commandId", "expectedVersion")}
    answer = await sent(visitor, "advance", reason="the bank agrees", **form)
    said = await outcome(visitor, answer)
    assert "Accepted: now ParallelSetup at 1 %" in said
    assert "2 of 2 replicas follow" in said
    (entry,) = await two.entries()
    assert (entry.user, entry.after.phase) == ("administrator", Phase.PARALLEL_SETUP)
    assert entry.command["reason"] == "the bank agrees"


async def test_an_emergency_needs_no_script(visitor: Visitor, two: Harness) -> None:
    await two.steer.to(Phase.GRADUAL_MIGRATION, 25)
    page = await visitor.http.get("/dialog/emergency-rollback")
    form = {name: hidden(page.text, name) for name in ("token", "commandId")}
    reason = "the provider is down"
    answer = await visitor.http.post(
        "/command/emergency-rollback", data={**form, "reason": reason}, headers=OURS
    )
    assert answer.status_code == 303
    became = await visitor.http.get(answer.headers["location"])
    assert "Accepted: now Rollback at 0 %" in became.text
    last = (await two.entries())[-1]
    assert (last.after.phase, last.command["reason"]) == (Phase.ROLLBACK, reason)


async def test_a_second_person_is_told_what_the_first_did(visitor: Visitor, two: Harness) -> None:
    await two.steer.to(Phase.PARALLEL_SETUP, 1)
    dialog = await visitor.http.get("/dialog/step", headers=FRAGMENT)
    form = {name: hidden(dialog.text, name) for name in ("commandId", "expectedVersion")}
    await two.steer.do(control.Step)
    answer = await sent(visitor, "step", reason="all gates open", **form)
    said = await outcome(visitor, answer)
    assert "administrator stepped to 5 %" in said
    assert said.count("Look again") == 2


async def test_shut_gates_are_passed_by_the_second_form_alone(
    visitor: Visitor, two: Harness
) -> None:
    two.target.healthy = False
    dialog = await visitor.http.get("/dialog/advance", headers=FRAGMENT)
    assert "1 of 2 gates is shut: Account call." in text_of(dialog.text)
    form = {"reason": "checked by hand", "commandId": hidden(dialog.text, "commandId")}
    refused = await sent(visitor, "advance", **form)
    assert "refused by: account" in await outcome(visitor, refused)
    anew = {**form, "commandId": "another", "override": "1"}
    assert "Accepted" in await outcome(visitor, await sent(visitor, "advance", **anew))
    assert (await two.entries())[-1].command["overrideGates"] == "checked by hand"


async def test_flags_are_checked_as_they_are_typed_and_nothing_is_recorded(
    visitor: Visitor, two: Harness
) -> None:
    page = await visitor.http.get("/flags")
    field = "f.SmsFeatureFlags.RollbackThresholds.MaxErrorRate"
    opened = hidden(page.text, "opened").replace("&#34;", '"')
    form = {"token": hidden(page.text, "token"), "how": "form", "opened": opened, field: "x"}
    answer = await visitor.http.post("/flags/check", data=form, headers=OURS | FRAGMENT)
    assert "MaxErrorRate: expected a number from 0 to 100, got 'x'" in text_of(answer.text)
    answer = await visitor.http.post(
        "/flags/check", data=form | {field: "4"}, headers=OURS | FRAGMENT
    )
    assert "MaxErrorRate: 5.0 -> 4" in text_of(answer.text)
    assert await two.entries() == []


@pytest.fixture
async def only_looks(amqp_url: Url, mongo_url: str, database_name: str) -> AsyncIterator[Harness]:
    """Replicas that know the administrator of the broker as an observer."""
    roles = {"administrator": AccessRole.OBSERVER, "observer": AccessRole.OBSERVER}
    async with bench(amqp_url, mongo_url, database_name, count=1, roles=roles) as made:
        yield made


@pytest.mark.parametrize("user", ["administrator", "observer"])
async def test_a_forged_form_of_an_observer_is_refused(
    amqp_url: Url, only_looks: Harness, user: str
) -> None:
    async with console(amqp_url) as address, Visitor.at(address) as visitor:
        await visitor.enter(user, password(amqp_url(user)))
        page = await visitor.http.get("/more")
        assert "data-dialog" not in page.text
        for name in ("emergency-rollback", "advance", "enable-provider"):
            answer = await sent(visitor, name, reason="forged", commandId="7c0f")
            assert answer.status_code == 403
    assert await only_looks.entries() == []


async def test_what_an_observer_sends_by_hand_is_forbidden_by_the_worker(
    amqp_url: Url, only_looks: Harness
) -> None:
    async with ControlClient(amqp_url("administrator")) as client:
        reply = await client.ask(command(control.EmergencyRollback), 20)
    assert (reply.verdict, reply.code) == ("refused", "forbidden")
    assert [entry.verdict for entry in await only_looks.entries()] == ["refused"]


async def test_what_an_observer_sends_by_hand_is_refused_by_the_broker(
    amqp_url: Url, only_looks: Harness
) -> None:
    async with ControlClient(amqp_url("observer")) as client:
        with pytest.raises(NotAllowed):
            await client.ask(command(control.EmergencyRollback), 20)
    assert await only_looks.entries() == []
