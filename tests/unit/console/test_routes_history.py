"""The view "History" over HTTP: pages, filters, export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contracts.control import History
from tests.support.asks_fake import FakeClient, replied
from tests.support.steered import steered, text_of
from tests.unit.console.steering.made import entry
from worker.console import routes_history

if TYPE_CHECKING:
    import pytest

    from contracts.control import ControlReply


def log(count: int, **fields: Any) -> Any:
    """A control log with so many entries, every third of automation."""

    def answer(asked: History) -> ControlReply:
        newest = count if asked.before is None else min(count, asked.before - 1)
        numbers = range(newest, max(newest - asked.limit, 0), -1)
        entries = [
            entry(number=n, user="(monitor)" if n % 3 == 0 else "joseph", **fields).document()
            for n in numbers
        ]
        return replied(asked, data={"entries": entries})

    return answer


async def shown(client: FakeClient, path: str) -> str:
    async with steered(client, "observer") as page:
        answer = await page.get(path, fragment=False)
    assert answer.status_code == 200
    return answer.text


async def test_a_page_has_fifty_entries_and_leads_to_older_ones() -> None:
    html = await shown(FakeClient({"history": log(120)}), "/history")
    assert html.count('<details id="entry-') == 50
    assert 'id="entry-120"' in html
    assert "/history?show=all&amp;before=71" in html
    older = await shown(FakeClient({"history": log(120)}), "/history?before=71")
    assert 'id="entry-70"' in older
    assert 'id="entry-71"' not in older


async def test_the_last_page_leads_nowhere() -> None:
    assert "Older entries" not in await shown(FakeClient({"history": log(20)}), "/history")


async def test_a_filter_looks_on_until_the_page_is_full() -> None:
    client = FakeClient({"history": log(400)})
    html = await shown(client, "/history?show=automatic")
    assert html.count('<details id="entry-') == 50
    assert "Automation" in html
    assert "/history?show=automatic&amp;before=252" in html


async def test_looking_on_has_a_bound() -> None:
    client = FakeClient({"history": log(10_000)})
    html = await shown(client, "/history?show=refused")
    asked = [each for each in client.asked if isinstance(each, History) and each.limit == 200]
    assert len(asked) == 20
    assert "/history?show=refused&amp;before=6001" in html


async def test_without_an_answer_the_page_says_why() -> None:
    text = text_of(await shown(FakeClient(), "/history"))
    assert "No worker answers." in text
    assert "No entry fits." not in text


async def test_texts_of_others_are_escaped() -> None:
    command = {"name": "step", "reason": "<img src=x>"}
    html = await shown(FakeClient({"history": log(1, command=command)}), "/history")
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


async def test_gates_that_were_passed_all_the_same_stand_in_words() -> None:
    command = {"name": "step", "reason": "r", "overrideGates": "checked by hand"}
    text = text_of(await shown(FakeClient({"history": log(1, command=command)}), "/history"))
    assert "Gates passed all the same : checked by hand" in text.replace("same:", "same :")


async def test_csv_has_all_entries() -> None:
    text = await shown(FakeClient({"history": log(450)}), "/history.csv")
    lines = text.splitlines()
    assert len(lines) == 451
    assert lines[0].startswith("number,at,user")
    assert (lines[1].split(",")[0], lines[-1].split(",")[0]) == ("450", "1")


async def test_json_lines_have_all_entries() -> None:
    text = await shown(FakeClient({"history": log(201)}), "/history.jsonl")
    numbers = [json.loads(line)["number"] for line in text.splitlines()]
    assert numbers == list(range(201, 0, -1))


async def test_an_export_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_history, "MOST_EXPORTED", 200)
    text = await shown(FakeClient({"history": log(450)}), "/history.csv")
    assert text.splitlines()[-1] == "ended early before entry 251: 200 entries"
    silent = await shown(FakeClient(), "/history.csv")
    assert silent.splitlines()[-1] == "ended early before entry None: No worker answers."


async def test_another_kind_of_export_is_not_found() -> None:
    async with steered(FakeClient()) as page:
        assert (await page.get("/history.xlsx", fragment=False)).status_code == 404


async def test_a_session_exports_once_at_a_time() -> None:
    async with steered(FakeClient({"history": log(1)})) as page:
        session = next(iter(page.site.sessions._open.values()))
        views = routes_history.HistoryViews(routes_history.Answering(page.site))
        first = views._lines(session, "head\n", lambda _: "line\n")
        assert await anext(first) == "head\n"
        assert session in views._exporting
        assert [each async for each in first] == ["line\n"]
        assert session not in views._exporting
