"""The chart that `ctl series` draws."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.answers import ProviderSeries, SeriesAnswer, ShareChange
from contracts.control import ControlReply
from worker.cli.ctl.series import COLUMNS, Chart, drawn, series_parts
from worker.cli.ctl.views import console

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def figures(assigned: list[int], errors: list[int] | None = None) -> ProviderSeries:
    none = [0] * len(assigned)
    errors = errors or none
    accepted = [all_ - bad for all_, bad in zip(assigned, errors, strict=True)]
    return ProviderSeries(
        attempts=assigned, accepted=accepted, errors=errors, delivered=none, judged=none,
        assigned=assigned, p50_ms=[None] * len(assigned), p95_ms=[None] * len(assigned),
    )  # fmt: skip


def answer(target: ProviderSeries, legacy: ProviderSeries, *changes: ShareChange) -> SeriesAnswer:
    return SeriesAnswer(
        since=BEGIN,
        until=BEGIN + timedelta(seconds=600 * len(target.assigned)),
        slot_s=600,
        providers={"africastalking": target, "legacy": legacy},
        target="africastalking",
        legacy="legacy",
        share=10,
        changes=list(changes),
    )


def printed(data: dict[str, Any]) -> str:
    reply = ControlReply(
        command_id="q", name="series", verdict="accepted", code="ok", text="", data=data, at=BEGIN
    )
    text = io.StringIO()
    console(text).print(*series_parts(reply), sep="\n")
    return text.getvalue()


def columns(text: str, title: str) -> list[str]:
    """The columns of a chart from bottom to top, without blanks."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(title)) + 1
    rows = [line[8:] for line in lines[first:] if "|" in line[:8]][:5]
    width = max(map(len, rows))
    padded = [row.ljust(width) for row in rows]
    return ["".join(row[at] for row in reversed(padded)).strip() for at in range(width)]


def test_the_share_is_what_was_assigned_and_an_empty_slot_is_a_gap() -> None:
    text = printed(answer(figures([0, 0, 25, 50, 100]), figures([100, 0, 75, 50, 0])).document())
    bars = columns(text, "share sent to Africa's Talking, % (last 100.0)")
    assert bars == ["▁", "", "█▂", "██▄", "█████"]


def test_failures_of_both_have_one_axis() -> None:
    text = printed(
        answer(
            figures([10, 10], [0, 2]),
            figures([100, 100], [5, 0]),
        ).document()
    )
    assert "failed at Africa's Talking, % (last 20.0)" in text
    assert "failed at Legacy, % (last 0.0)" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    20 |")] == [
        "20",
        "20",
    ]


def test_many_slots_share_a_column_and_every_line_fits() -> None:
    one, other = figures([30] * 169, [3] * 169), figures([70] * 169)
    text = printed(answer(one, other).document())
    assert "a column is 30 min" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(columns(text, "share sent")) == -(-169 // 3) <= COLUMNS


def test_a_change_says_who_what_and_why() -> None:
    change = ShareChange(
        at=BEGIN, number=3, user="ann", command="step", share_before=10, share_after=25,
        phase="GradualMigration", reason="all is well",
    )  # fmt: skip
    text = printed(answer(figures([1]), figures([3]), change).document())
    assert "changes of the share, from 10 %" in text
    said = "2026-03-01 12:00:00  10 % -> 25 %  GradualMigration  ann (step): all is well"
    assert " ".join(text.split()).endswith(" ".join(said.split()))


def test_without_a_change_the_share_is_told() -> None:
    text = printed(answer(figures([1]), figures([3])).document())
    assert "no change; 10 % in force throughout" in text


def test_a_period_without_traffic_draws_nothing() -> None:
    text = printed(answer(figures([0, 0]), figures([0, 0])).document())
    assert text.count("(nothing counted)") == 3
    assert not set(text) & set("▁▂▃▄▅▆▇█")


def test_a_terminal_without_block_characters_gets_plain_ones() -> None:
    rows = drawn(Chart("", [0.0, 50.0, None, 100.0], 100.0, 1), ".,-=+*%#")
    assert rows == ["     0 |.= #"]


@pytest.mark.parametrize(
    "data",
    [
        {"addedLater": 1},
        answer(figures([]), figures([])).document(),
        answer(figures([1]), figures([1])).document() | {"target": "another"},
        answer(figures([1, 2]), figures([1])).document(),
    ],
)
def test_an_answer_that_cannot_be_drawn_is_shown_as_it_came(data: dict[str, Any]) -> None:
    assert "|" not in printed(data)
