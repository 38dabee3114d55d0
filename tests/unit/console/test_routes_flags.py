"""The view "Flags" over HTTP: shown, checked as it is typed, saved through the dialog."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from contracts.control import Preview, SetFlags
from tests.support.asks_fake import FakeClient, replied
from tests.support.steered import hidden, steered, text_of
from tests.unit.console.steering.made import preview, state
from worker.console.views.flags import PREFIX
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags

if TYPE_CHECKING:
    from contracts.control import ControlReply

DOCUMENT: dict[str, Any] = flags_document.document(Flags(), 25)
IN_FORCE = state().model_copy(update={"flags": DOCUMENT})
ERRORS = f"{PREFIX}SmsFeatureFlags.RollbackThresholds.MaxErrorRate"


def worker(**fields: Any) -> FakeClient:
    """A worker with the default flags in force."""

    def previewed(_: Preview) -> ControlReply:
        answer = preview(**fields).model_copy(update={"after": None})
        return replied(_, data=answer.document(), state=IN_FORCE, version=41)

    status = {"alerts": [], "replicas": []}
    return FakeClient(
        {
            "status": lambda asked: replied(asked, data=status, state=IN_FORCE, version=41),
            "preview": previewed,
            "set-flags": replied,
        }
    )


def edit(**changed: str) -> dict[str, str]:
    opened = {"opened": json.dumps(DOCUMENT), "expectedVersion": "41", "how": "form"}
    return opened | {name.replace("__", "."): value for name, value in changed.items()}


async def test_the_flags_in_force_are_a_form_by_section() -> None:
    async with steered(worker()) as page:
        shown = (await page.get("/flags", fragment=False)).text
    said = text_of(shown)
    assert "Flags of version 41" in said
    assert "Gradual migration, to enter it" in said
    assert f'name="{ERRORS}" value="5"' in shown
    assert json.loads(html.unescape(hidden(shown, "opened"))) == DOCUMENT


async def test_who_may_not_set_flags_sees_the_document_only() -> None:
    async with steered(worker(), "observer") as page:
        shown = (await page.get("/flags", fragment=False)).text
        checked = await page.post("/flags/check", edit())
    assert "MaxErrorRate" in shown
    assert "<textarea" not in shown
    assert "data-check" not in shown
    assert checked.status_code == 403


async def test_flags_that_are_not_known_are_said_to_be_so() -> None:
    async with steered(FakeClient()) as page:
        shown = (await page.get("/flags", fragment=False)).text
    assert "The flags are not known." in shown


async def test_a_check_asks_the_worker_and_shows_the_difference() -> None:
    client = worker()
    async with steered(client) as page:
        answer = await page.post("/flags/check", edit(), **{ERRORS: "2"})
    (asked,) = [each for each in client.asked if isinstance(each, Preview)]
    assert asked.command["name"] == "set-flags"
    assert asked.command["flags"]["SmsFeatureFlags"]["RollbackThresholds"]["MaxErrorRate"] == 2
    said = text_of(answer.text)
    assert "RollbackThresholds.MaxErrorRate: 5.0 -> 2" in said
    assert answer.text.lstrip().startswith("<article"), "the script puts it in place of the form"
    assert "Save…" in said
    assert hidden(answer.text.split("/dialog/set-flags")[1], "expectedVersion") == "41"


async def test_problems_are_listed_and_nothing_can_be_saved() -> None:
    problem = "MaxErrorRate: expected a number from 0 to 100, got '<b>'"
    client = worker(accepted=False, code="invalid", problems=[problem])
    async with steered(client) as page:
        answer = await page.post("/flags/check", edit(), **{ERRORS: "<b>"})
        whole = await page.post("/flags/check", edit(), fragment=False, **{ERRORS: "<b>"})
    assert problem in text_of(answer.text)
    assert "Save" not in answer.text
    assert "<b>" not in answer.text
    assert "expected a number from 0 to 100" in whole.text.split(f'name="{ERRORS}"', 1)[1]


async def test_raw_json_is_read_strictly() -> None:
    async with steered(worker()) as page:
        form = edit() | {"how": "json", "json": '{"a": 1, "a": 2}'}
        answer = await page.post("/flags/check", form)
        fine = await page.post("/flags/check", form | {"json": json.dumps(DOCUMENT)})
    assert "a: given more than once" in answer.text
    assert "No difference." in fine.text


async def test_without_an_answer_nothing_can_be_saved() -> None:
    client = worker()
    client.answers = {k: v for k, v in client.answers.items() if k != "preview"}
    async with steered(client) as page:
        answer = await page.post("/flags/check", edit(), **{ERRORS: "2"})
    assert "No worker answers." in answer.text
    assert "Save" not in answer.text


async def test_a_page_without_what_was_opened_is_too_old() -> None:
    async with steered(worker()) as page:
        assert (await page.post("/flags/check", {"opened": "x"})).status_code == 400


async def test_saving_goes_through_the_dialog_with_the_version_that_was_opened() -> None:
    client = worker(upward=False, differences=["SmsFeatureFlags.X: 1 -> 2"])
    async with steered(client) as page:
        form = {"flags": json.dumps(DOCUMENT), "expectedVersion": "39"}
        dialog = await page.post("/dialog/set-flags", form)
        assert "SmsFeatureFlags.X: 1 -&gt; 2" in dialog.text
        assert hidden(dialog.text, "expectedVersion") == "39"
        sent = await page.post(
            "/command/set-flags", form, reason="less errors",
            commandId=hidden(dialog.text, "commandId"),
        )  # fmt: skip
    assert "Accepted" in sent.text
    (command,) = client.commands()
    assert isinstance(command, SetFlags)
    assert (command.flags, command.expected_version) == (DOCUMENT, 39)


async def test_who_saves_too_late_sees_theirs_yours_and_the_difference() -> None:
    def conflict(asked: SetFlags) -> ControlReply:
        return replied(asked, verdict="refused", code="version", text="", state=IN_FORCE)

    client = worker(upward=False)
    client.answers = {**client.answers, "set-flags": conflict}
    yours = DOCUMENT | {"MigrationSettings": DOCUMENT["MigrationSettings"] | {"FourEyes": True}}
    async with steered(client) as page:
        form = {"flags": json.dumps(yours), "expectedVersion": "39", "commandId": "7c0f"}
        answer = await page.post("/command/set-flags", form, reason="two persons")
        again = answer.text.split("/dialog/set-flags")[1]
        dialog = await page.post(
            "/dialog/set-flags", flags=html.unescape(hidden(again, "flags")),
            expectedVersion=hidden(again, "expectedVersion"),
        )  # fmt: skip
    said = text_of(answer.text)
    assert "Somebody else changed something meanwhile. Look again." in said
    assert "From what is in force now (version 41) to yours:" in said
    assert "MigrationSettings.FourEyes: false -> true" in said
    assert hidden(dialog.text, "expectedVersion") == "41"
