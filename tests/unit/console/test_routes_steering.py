"""Dialogs over HTTP: opened, sent, followed; with and without the script of a page."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from contracts.control import AddSuppression, EmergencyRollback, Preview, SetPercentage, Step
from tests.support.asks_fake import FakeClient, replied
from tests.support.steered import EVERY, Browser, hidden, steered, text_of
from tests.unit.console.steering.made import OPEN, SHUT, entry, preview, state
from worker.broker.control_client import NotAllowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from contracts.control import ControlReply


def previewing(**fields: Any) -> Any:
    """Answers `preview` in version 41."""

    def answer(asked: Preview) -> ControlReply:
        gates = fields.pop("gates", (OPEN,)) if "gates" in fields else (OPEN,)
        data = preview(**fields).document()
        return replied(asked, data=data, gates=gates, state=state(), version=41)

    return answer


def replicas(*applied: int) -> Any:
    data = {
        "alerts": [],
        "replicas": [{"replica": f"r{n}", "applied": each} for n, each in enumerate(applied)],
    }
    return lambda asked: replied(asked, data=data, state=state(), version=42)


ROLLED_BACK = {"version": 42, "text": "emergency-rollback: now Rollback at 0 %"}


def rolled_back(asked: Any) -> ControlReply:
    return replied(asked, **ROLLED_BACK, state=state("Rollback", 0, version=42))


@asynccontextmanager
async def browser(
    answers: dict[str, Any] | None = None, role: str = "administrator", **fields: Any
) -> AsyncIterator[tuple[Browser, FakeClient]]:
    client = FakeClient(answers or {}, **fields)
    async with steered(client, role) as made:
        yield made, client


# --- before the command is given -------------------------------------------------------------


async def test_a_dialog_shows_the_effect_the_gates_and_how_to_undo() -> None:
    async with browser({"preview": previewing()}) as (page, client):
        answer = await page.get("/dialog/step")
    assert answer.status_code == 200
    assert not answer.text.lstrip().startswith("<!DOCTYPE")
    said = text_of(answer.text)
    assert "about 4,500 messages an hour move to Africa's Talking." in said
    assert "Lock open none none" in said
    assert "To undo: Set the share back to 25 %" in said
    assert "Step to 50 %" in said
    assert hidden(answer.text, "expectedVersion") == "41"
    assert [each.name for each in client.asked if each.name == "preview"] == ["preview"]
    assert client.commands() == []


async def test_without_the_script_a_dialog_is_a_whole_page() -> None:
    async with browser({"preview": previewing()}) as (page, _):
        answer = await page.get("/dialog/step", fragment=False)
    assert answer.text.lstrip().startswith("<!DOCTYPE html>")
    assert 'action="/command/step"' in answer.text


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("answers", [{"preview": previewing()}, {}], ids=["known", "silent"])
async def test_every_command_has_a_dialog_and_a_page(name: str, answers: dict[str, Any]) -> None:
    async with browser(answers) as (page, _):
        dialog = await page.get(f"/dialog/{name}")
        whole = await page.get(f"/dialog/{name}", fragment=False)
    assert (dialog.status_code, whole.status_code) == (200, 200)
    for answer in (dialog, whole):
        assert f'action="/command/{name}"' in answer.text
        assert "data-guard" in answer.text
        assert "{" not in text_of(answer.text.split("<article", 1)[1])


async def test_each_dialog_has_another_command_id() -> None:
    async with browser({"preview": previewing()}) as (page, _):
        ids = {hidden((await page.get("/dialog/hold")).text, "commandId") for _ in range(3)}
    assert len(ids) == 3


async def test_shut_gates_turn_the_button_off_and_can_be_passed_in_a_second_place() -> None:
    refused = previewing(
        accepted=False, overridable=True, code="gates", text="refused", gates=(SHUT,)
    )
    async with browser({"preview": refused}) as (page, _):
        html = (await page.get("/dialog/step")).text
    first, override = html.split("<details", 1)
    assert re.search(r"<button class=\"primary\" data-guard disabled", first)
    assert "1 of 1 gates is shut: Success." in first
    assert "override" not in first
    assert "goes on record" in override
    assert hidden(override, "override") == "1"
    assert "Pass the gates: Step to 50 %" in override


async def test_while_nobody_answers_what_goes_up_is_off_and_says_why() -> None:
    async with browser() as (page, _):
        html = (await page.get("/dialog/step")).text
    assert "disabled" in html
    assert "No worker answers." in html


async def test_a_share_is_previewed_as_it_is_filled_in() -> None:
    async with browser({"preview": previewing()}) as (page, client):
        first = (await page.get("/dialog/set-percentage")).text
        second = await page.post("/dialog/set-percentage", percentage="50", commandId="7c0f")
    assert "Fill in the fields to see what it does." in first
    assert 'data-check="/dialog/set-percentage"' in first
    (asked,) = [each for each in client.asked if isinstance(each, Preview)]
    assert asked.command == {"name": "set-percentage", "percentage": 50}
    assert hidden(second.text, "commandId") == "7c0f"
    assert "Step to" not in second.text
    assert "about 4,500 messages an hour" in second.text


async def test_without_the_script_a_button_shows_the_effect() -> None:
    async with browser({"preview": previewing()}) as (page, client):
        answer = await page.post("/command/set-percentage", percentage="50", look="1", reason="")
    assert answer.status_code == 200
    assert "about 4,500 messages an hour" in answer.text
    assert client.commands() == []


@pytest.mark.parametrize("path", ["/dialog/add-suppression?number=0971234567",
                                  "/dialog/set-user-override?user=0971234567"])  # fmt: skip
async def test_a_number_or_a_user_is_not_read_from_an_address(path: str) -> None:
    async with browser({"preview": previewing()}) as (page, _):
        assert "0971234567" not in (await page.get(path)).text


async def test_what_no_command_is_called_is_not_found() -> None:
    async with browser() as (page, _):
        assert (await page.get("/dialog/shutdown")).status_code == 404
        assert (await page.post("/command/shutdown")).status_code == 404


# --- who may ---------------------------------------------------------------------------------


async def test_an_observer_opens_no_dialog_and_sends_nothing() -> None:
    async with browser({"emergency-rollback": rolled_back}, role="observer") as (page, client):
        for name in ("emergency-rollback", "hold", "disable-provider"):
            assert (await page.get(f"/dialog/{name}")).status_code == 403
            sent = await page.post(f"/command/{name}", reason="forged", commandId="7c0f")
            assert sent.status_code == 403
    assert client.commands() == []


async def test_an_operator_gives_what_is_his_and_may_try_what_its_effect_decides() -> None:
    forbidden = previewing(accepted=False, code="forbidden", text="amina is operator; ask one")
    async with browser({"preview": forbidden}, role="operator") as (page, _):
        assert (await page.get("/dialog/advance")).status_code == 403
        assert (await page.get("/dialog/hold")).status_code == 200
        tried = await page.get("/dialog/enable-provider?provider=target")
    assert tried.status_code == 200
    assert "amina is operator; ask one" in tried.text
    assert "disabled" in tried.text


async def test_a_form_of_another_page_is_refused() -> None:
    async with browser({"emergency-rollback": rolled_back}) as (page, client):
        form = {"reason": "forged", "commandId": "7c0f"}
        without_token = await page.http.post(
            "/command/emergency-rollback", data=form, headers={"Sec-Fetch-Site": "same-origin"}
        )
        elsewhere = await page.http.post(
            "/command/emergency-rollback", data={**form, "token": page.token},
            headers={"Sec-Fetch-Site": "cross-site"},
        )  # fmt: skip
    assert (without_token.status_code, elsewhere.status_code) == (403, 403)
    assert client.commands() == []


async def test_without_a_session_a_fragment_is_refused_and_a_page_leads_to_the_log_in() -> None:
    async with browser() as (page, _):
        page.http.cookies.clear()
        assert (await page.get("/dialog/step")).status_code == 401
        whole = await page.get("/dialog/step", fragment=False)
    assert whole.status_code == 303
    assert whole.headers["location"].startswith("/login")


# --- the command -----------------------------------------------------------------------------


async def test_an_emergency_asks_nobody_before_it_is_sent() -> None:
    async with browser({"emergency-rollback": rolled_back}) as (page, client):
        dialog = await page.get("/dialog/emergency-rollback")
        ident = hidden(dialog.text, "commandId")
        asked = [each.name for each in client.asked if each.name == "preview"]
        answer = await page.post(
            "/command/emergency-rollback", reason="emergency rollback from the console",
            commandId=ident,
        )  # fmt: skip
    assert asked == []
    assert 'value="emergency rollback from the console"' in dialog.text
    assert "disabled" not in dialog.text
    (sent,) = client.commands()
    assert isinstance(sent, EmergencyRollback)
    assert sent.command_id == ident
    assert "Accepted: now Rollback at 0 %, version 42" in answer.text
    assert f'data-poll="/followed/42?id={ident}"' in answer.text


async def test_an_emergency_works_without_script_status_and_preview() -> None:
    async with browser({"emergency-rollback": rolled_back}) as (page, client):
        dialog = await page.get("/dialog/emergency-rollback", fragment=False)
        sent = await page.post(
            "/command/emergency-rollback", fragment=False, reason="provider is down",
            commandId=hidden(dialog.text, "commandId"),
        )  # fmt: skip
        assert sent.status_code == 303
        became = await page.get(sent.headers["location"], fragment=False)
    assert len(client.commands()) == 1
    assert "Accepted: now Rollback at 0 %, version 42" in became.text
    assert became.headers["refresh"].startswith("1; url=/followed/42")


async def test_the_console_says_when_it_was_issued_not_the_browser() -> None:
    async with browser({"hold": replied}) as (page, client):
        now = page.clock.now()
        await page.post("/command/hold", reason="bank", commandId="7c0f", issuedAt="2020-01-01")
    assert client.commands()[0].issued_at == now


async def test_a_form_that_is_sent_twice_gives_one_command() -> None:
    async with browser({"hold": replied}) as (page, client):
        for _ in range(2):
            answer = await page.post("/command/hold", reason="bank", commandId="7c0f")
    assert len(client.commands()) == 1
    assert "Accepted" in answer.text


async def test_the_id_of_another_command_is_said_to_be_used() -> None:
    async with browser({"hold": replied, "resume": replied}) as (page, client):
        await page.post("/command/hold", reason="bank", commandId="7c0f")
        answer = await page.post("/command/resume", reason="bank", commandId="7c0f")
    assert answer.status_code == 422
    assert "This dialog gave another command." in answer.text
    assert hidden(answer.text, "commandId") not in {"", "7c0f"}
    assert len(client.commands()) == 1


async def test_a_bad_field_is_shown_beside_the_field_and_nothing_is_sent() -> None:
    async with browser({"preview": previewing()}) as (page, client):
        answer = await page.post(
            "/command/set-percentage", percentage="<b>", reason="x", commandId="7c0f"
        )
    assert answer.status_code == 422
    said = text_of(answer.text)
    assert 'expected a whole number from 0 to 100, got "<b>"' in said
    assert 'expected 3 to 500 characters for the history, got "x"' in said
    assert "<b>" not in answer.text.replace("<b>production</b>", "")
    assert client.commands() == []


async def test_what_has_no_way_back_wants_the_environments_name() -> None:
    answers = {"preview": previewing(), "disable-provider": replied}
    async with browser(answers) as (page, client):
        form = {"provider": "legacy", "reason": "contract ends", "commandId": "7c0f"}
        dialog = await page.get("/dialog/disable-provider?provider=legacy")
        without = await page.post("/command/disable-provider", form)
        assert client.commands() == []
        typed = await page.post("/command/disable-provider", form, environment="production")
    assert "Type production , the name of this environment" in text_of(dialog.text)
    assert without.status_code == 422
    assert "expected production, got nothing" in without.text
    assert "Accepted" in typed.text


async def test_gates_are_passed_only_by_the_second_form() -> None:
    refused = previewing(
        accepted=False, overridable=True, code="gates", text="refused", gates=(SHUT,)
    )
    async with browser({"preview": refused, "step": replied}) as (page, client):
        form = {"reason": "checked by hand", "commandId": "7c0f", "expectedVersion": "41"}
        await page.post("/command/step", form, override="1")
    (sent,) = client.commands()
    assert isinstance(sent, Step)
    assert (sent.override_gates, sent.reason) == ("checked by hand", "checked by hand")
    assert sent.expected_version == 41


async def test_a_second_person_is_told_what_the_first_did() -> None:
    def conflict(asked: Any) -> ControlReply:
        return replied(asked, verdict="refused", code="version", text="step: expected version 41")

    answers = {
        "step": conflict,
        "history": lambda asked: replied(asked, data={"entries": [entry().document()]}),
    }
    async with browser(answers) as (page, _):
        form = {"reason": "all gates open", "commandId": "7c0f", "expectedVersion": "41"}
        answer = await page.post("/command/step", form)
    assert "joseph stepped to 50 % 8 s ago. Look again." in answer.text
    assert 'data-dialog="/dialog/step"' in answer.text


async def test_no_answer_yet_is_asked_for_again_until_the_command_line_is_shown() -> None:
    async with browser(tries=3) as (page, client):
        sent = await page.post("/command/rollback", reason="slow bank", commandId="7c0f")
        assert 'data-poll="/done/7c0f"' in sent.text
        assert "sent again with the same id (3). It is done once only." in sent.text
        page.clock.advance(15.0)
        late = await page.get("/done/7c0f")
        client.answers = {"rollback": replied}
        again = await page.get("/done/7c0f")
    assert "sms-worker ctl rollback --as amina" in text_of(late.text)
    assert "History tells whether it was done." in late.text
    assert 'data-poll="/done/7c0f"' in again.text


async def test_a_refusal_of_the_broker_is_shown() -> None:
    refused = NotAllowed("the broker refuses user amina")
    async with browser({"hold": refused}) as (page, _):
        answer = await page.post("/command/hold", reason="bank", commandId="7c0f")
    assert "The broker refuses user amina." in answer.text
    assert "data-poll" not in answer.text


async def test_text_of_others_is_escaped() -> None:
    def evil(asked: Any) -> ControlReply:
        return replied(asked, verdict="refused", code="phase", text="<script>alert(1)</script>")

    async with browser({"hold": evil}) as (page, _):
        answer = await page.post("/command/hold", reason="bank", commandId="7c0f")
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_a_number_goes_in_the_body_and_comes_back_in_no_address() -> None:
    async with browser({"add-suppression": replied}) as (page, client):
        answer = await page.post(
            "/command/add-suppression", number="0971 234 567", reason="asked us", commandId="7c0f"
        )
    (sent,) = client.commands()
    assert isinstance(sent, AddSuppression)
    assert sent.number == "0971 234 567"
    assert "0971" not in answer.text


# --- afterwards ------------------------------------------------------------------------------


async def test_replicas_are_followed_until_all_go_by_the_version() -> None:
    answers = {"emergency-rollback": rolled_back, "status": replicas(42, 41)}
    async with browser(answers) as (page, client):
        await page.post("/command/emergency-rollback", reason="down", commandId="7c0f")
        page.clock.advance(0.4)
        first = await page.get("/followed/42?id=7c0f")
        client.answers = {"status": replicas(42, 42)}
        second = await page.get("/followed/42?id=7c0f")
    assert "1 of 2 replicas follow" in first.text
    assert "data-poll" in first.text
    assert "2 of 2 replicas follow (0.4 s)" in second.text
    assert "Accepted: now Rollback at 0 %, version 42" in second.text
    assert "data-poll" not in second.text


async def test_a_version_can_be_followed_after_a_restart_of_the_console() -> None:
    async with browser({"status": replicas(42)}) as (page, _):
        answer = await page.get("/followed/42?id=forgotten")
    assert "Accepted: version 42" in answer.text
    assert "1 of 1 replicas follow" in answer.text


@pytest.mark.parametrize("version", ["x", "9" * 30, "-1", "4٢"])
async def test_what_is_no_version_is_not_found(version: str) -> None:
    async with browser() as (page, _):
        assert (await page.get(f"/followed/{version}")).status_code == 404


async def test_after_a_restart_the_history_tells_what_became_of_a_command() -> None:
    mine = entry("step", user="amina", command={"name": "step", "commandId": "7c0f"},
                 text="step: now GradualMigration at 50 %")  # fmt: skip
    theirs = entry("step", command={"name": "step", "commandId": "7c10"})
    data = {"entries": [mine.document(), theirs.document()]}
    async with browser({"history": lambda asked: replied(asked, data=data)}) as (page, _):
        known, unknown = await page.get("/done/7c0f"), await page.get("/done/7c10")
    assert "Accepted: now GradualMigration at 50 %, version 42" in known.text
    assert "Not known" in unknown.text
    assert "it was not done, or not yet" in unknown.text


async def test_a_set_share_reaches_the_worker_as_it_was_typed() -> None:
    async with browser({"set-percentage": replied}) as (page, client):
        await page.post("/command/set-percentage", percentage=" 5 ", reason="less", commandId="1")
    (sent,) = client.commands()
    assert isinstance(sent, SetPercentage)
    assert (sent.percentage, sent.reason, sent.expected_version) == (5, "less", None)
