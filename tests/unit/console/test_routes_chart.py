"""The charts of another period over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import console_figures as figures
from tests.support.asks_fake import FakeClient, replied
from tests.support.console_states import AT
from tests.support.steered import steered, text_of

if TYPE_CHECKING:
    from contracts.control import ControlReply, Series


def week(asked: Series) -> ControlReply:
    return replied(asked, data=figures.series(AT).document())


async def test_a_period_is_asked_for_and_drawn() -> None:
    client = FakeClient({"series": week})
    async with steered(client, "observer") as page:
        answer = await page.get("/chart?hours=168")
    assert [asked.hours for asked in client.asked if asked.name == "series"][-1:] == [168.0]
    assert answer.text.startswith("<article")
    assert answer.text.count('role="img"') == 2
    assert 'id="other-share-t"' in answer.text
    assert "10 % → 25 % amina: all gates open, week 2" in text_of(answer.text)


async def test_no_answer_is_said_in_the_dialog() -> None:
    async with steered(FakeClient({})) as page:
        answer = await page.get("/chart?hours=6")
    assert answer.status_code == 200
    assert "<svg" not in answer.text
    assert "answer" in text_of(answer.text)


@pytest.mark.parametrize("hours", ["", "2", "1e9", "-1", "a" * 300])
async def test_another_period_is_refused(hours: str) -> None:
    async with steered(FakeClient({})) as page:
        answer = await page.get(f"/chart?hours={hours}")
    assert answer.status_code == 404
