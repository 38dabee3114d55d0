"""Explain a number, suppressions, more, planner over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from contracts.control import Explain, Health, Suppressions
from contracts.health import HealthMetric
from tests.support.asks_fake import NOW, FakeClient, replied
from tests.support.steered import steered, text_of
from tests.unit.console.steering.made import state
from worker.console.routes_planner import PlannerViews
from worker.domain.detection import planning
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags

if TYPE_CHECKING:
    from contracts.control import ControlReply

NUMBER = "0971 234 567"
EXPLAINED = {
    "number": "+260971234567", "bucket": 17, "way": ["africastalking", "legacy"], "passedOver": [],
    "reason": "percentage: bucket 17 < 25",
}  # fmt: skip
WISH = {
    "recipient": "+260*****567", "sender": None, "stopped": True,
    "at": "2026-11-27T12:00:00+00:00", "source": "report",
}  # fmt: skip
FLAGS = flags_document.document(Flags(), 25)


def worker(**answers: Any) -> FakeClient:
    document = state().model_copy(update={"flags": FLAGS, "backups": {"before": 12}})
    status = {"alerts": [], "replicas": [], "target": "africastalking", "legacy": "legacy"}
    usual = {
        "status": lambda asked: replied(asked, data=status, state=document, version=41),
        "explain": lambda asked: replied(asked, data=EXPLAINED),
        "suppressions": lambda asked: replied(asked, data={"suppressions": [WISH]}),
    }
    return FakeClient(usual | answers)


# --- explain ---------------------------------------------------------------------------------


async def test_a_number_is_explained_in_words() -> None:
    client = worker()
    async with steered(client, "observer") as page:
        answer = await page.post("/explain", fragment=False, to=NUMBER, user_id="", branch_id="7")
    (asked,) = [each for each in client.asked if isinstance(each, Explain)]
    assert (asked.to, asked.user_id, asked.branch_id) == (NUMBER, None, 7)
    said = text_of(answer.text)
    assert "It goes to Africa's Talking; if that fails provably, to Legacy." in said
    assert "Its bucket is 17; buckets below 25 go to Africa's Talking." in said


async def test_a_number_stands_in_no_address_and_no_log() -> None:
    with capture_logs() as logged:
        async with steered(worker()) as page:
            by_address = await page.get("/explain?to=0971234567", fragment=False)
            answer = await page.post("/explain", fragment=False, to=NUMBER)
    assert "0971234567" not in by_address.text
    assert "location" not in answer.headers
    assert "0971" not in str(logged)


async def test_a_bad_field_is_shown_and_nobody_is_asked() -> None:
    client = worker()
    async with steered(client) as page:
        answer = await page.post("/explain", fragment=False, to="", branch_id="seven")
    said = text_of(answer.text)
    assert "expected one line of 1 to 128 characters, got nothing" in said
    assert 'written as 12, got "seven"' in said
    assert not [each for each in client.asked if isinstance(each, Explain)]


async def test_what_the_worker_refuses_is_shown() -> None:
    def refused(asked: Explain) -> ControlReply:
        return replied(asked, verdict="refused", code="invalid", text="explain: to: too short")

    async with steered(worker(explain=refused)) as page:
        answer = await page.post("/explain", fragment=False, to="12")
    assert "to: too short" in answer.text


# --- suppressions ----------------------------------------------------------------------------


async def test_the_newest_wishes_are_listed_masked() -> None:
    async with steered(worker()) as page:
        answer = await page.get("/suppressions", fragment=False)
    said = text_of(answer.text)
    assert "+260*****567 every sender stopped" in said
    assert 'data-dialog="/dialog/add-suppression"' in answer.text


async def test_one_number_is_looked_up_by_the_body() -> None:
    client = worker(suppressions=lambda asked: replied(asked, data={"suppressions": []}))
    async with steered(client, "observer") as page:
        answer = await page.post("/suppressions", fragment=False, number=NUMBER)
    (asked,) = [each for each in client.asked if isinstance(each, Suppressions)]
    assert asked.number == NUMBER
    assert "Nothing is recorded about this number." in answer.text
    assert "data-dialog" not in answer.text


async def test_a_list_that_is_not_known_says_why() -> None:
    client = worker()
    client.answers = {k: v for k, v in client.answers.items() if k != "suppressions"}
    async with steered(client) as page:
        answer = await page.get("/suppressions", fragment=False)
        bad = await page.post("/suppressions", fragment=False, number="\x07")
    assert "No worker answers." in answer.text
    assert "expected one line of 1 to 128 characters" in bad.text


# --- more ------------------------------------------------------------------------------------


async def test_more_lists_providers_and_backups_with_buttons() -> None:
    async with steered(worker()) as page:
        html = (await page.get("/more", fragment=False)).text
    said = text_of(html)
    assert "before version 12 Restore…" in said
    assert "Africa's Talking yes not known Disable…" in said
    assert 'action="/dialog/restore"' in html
    assert 'name="to" value="before"' in html


async def test_a_button_in_a_row_opens_its_dialog_filled_in() -> None:
    async with steered(worker()) as page:
        dialog = await page.post("/dialog/clear-user-override", user="u-17")
    assert "User u-17" in text_of(dialog.text)
    assert 'type="hidden" name="user" value="u-17"' in dialog.text


async def test_an_observer_sees_more_without_any_control() -> None:
    async with steered(worker(), "observer") as page:
        html = (await page.get("/more", fragment=False)).text
    assert "data-dialog" not in html
    assert "/dialog/" not in html


# --- planner ---------------------------------------------------------------------------------


@pytest.fixture
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "RUNS", 11)


def health(asked: Health) -> ControlReply:
    """4,000 messages on each of the last three days, of which 0.3 % failed."""
    count = int(4_000 * min(asked.hours / 24.0, 3.0))
    errors = count * 3 // 1000
    rate = {"count": errors, "sample": count, "percent": 0.3}
    provider = {
        "role": "legacy", "attempts": count, "accepted": count, "refused": 0, "wrongRecipient": 0,
        "successRate": {"count": count - errors, "sample": count}, "errorRate": rate,
        "errorsByClass": {}, "fallbackRate": {"count": 0, "sample": 0}, "segments": count,
        "p95Ms": 600.0, "p99Ms": 900.0, "deliveryRate": {"count": count, "sample": count},
        "validation": {"successRate": {"count": 0, "sample": 0}},
    }  # fmt: skip
    target = provider | {"role": "target", "accepted": 0}
    moment = NOW.isoformat()
    report = {"at": moment, "since": moment, "until": moment, "hours": asked.hours,
              "providers": {"legacy": provider, "africastalking": target}}  # fmt: skip
    return replied(asked, data=HealthMetric(**report).model_dump(mode="json", by_alias=True))


@pytest.mark.usefixtures("few_runs")
async def test_a_plan_is_made_for_a_volume() -> None:
    async with steered(worker(), "observer") as page:
        empty = await page.get("/planner", fragment=False)
        form = {"per_day": "5000", "days": "14", "failed": "0.3"}
        answer = await page.post("/planner", form, fragment=False)
    assert "Messages a day" in empty.text
    said = text_of(answer.text)
    assert "Within 14 days in 9 of 10 cases: yes." in said
    assert "Recommended:" in said
    assert 'name="per_day" value="5000"' in answer.text


@pytest.mark.usefixtures("few_runs")
async def test_volume_and_rates_come_from_the_last_days() -> None:
    client = worker(health=health)
    async with steered(client) as page:
        form = {"from_history": "on", "ladder": "50,100"}
        answer = await page.post("/planner", form, fragment=False)
    said = text_of(answer.text)
    assert "4,000 messages a day of the last 3 days; 0.3 % failed" in said
    assert [e.hours for e in client.asked if isinstance(e, Health)] == [
        24.0 * day for day in range(7, 0, -1)
    ]


async def test_a_bad_field_of_the_plan_is_named() -> None:
    async with steered(worker()) as page:
        answer = await page.post("/planner", fragment=False, per_day="many")
    assert "expected a number from 1 to 1,000,000,000" in answer.text


async def test_a_history_that_is_not_known_makes_no_plan() -> None:
    async with steered(worker()) as page:
        answer = await page.post("/planner", fragment=False, from_history="on")
    assert "No worker answers." in answer.text


async def test_one_plan_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with steered(worker()) as page:
        busy = PlannerViews.__init__

        def locked(self: PlannerViews, answering: Any) -> None:
            busy(self, answering)
            self._planning._locked = True

        monkeypatch.setattr(PlannerViews, "__init__", locked)
        page.http._transport.app = page.site.app()  # type: ignore[attr-defined]
        answer = await page.post("/planner", fragment=False, per_day="5000")
    assert "Another plan is being made." in answer.text
