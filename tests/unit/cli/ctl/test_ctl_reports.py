"""How health and comparison look: side by side, 80 columns, and nothing invented."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from contracts.control import ControlReply
from worker.cli.ctl.reports import comparison_parts, health_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AT = "2026-03-01T08:30:00Z"
PERIOD = {"at": AT, "since": "2026-03-01T07:30:00Z", "until": AT, "hours": 1.0}
NOTHING = {"count": 0, "sample": 0}
EMPTY = {
    "attempts": 0, "accepted": 0, "refused": 0, "wrongRecipient": 0, "segments": 0,
    "successRate": NOTHING, "errorRate": NOTHING, "fallbackRate": NOTHING,
    "errorsByClass": {}, "validation": {"successRate": NOTHING},
}  # fmt: skip
BUSY = EMPTY | {
    "accepted": 1234567,
    "successRate": {"percent": 98.5, "low": 97.25, "high": 99.75, "count": 197, "sample": 200},
    "p95Ms": 750.0,
    "cost": {"ZMW": {"total": "156.8000", "perMessage": "0.784"}},
    "issues": ["success rate 98.50 % is below 99 % (MinSuccessRate), of 200 outcomes"],
}
PROVIDERS = {
    "africastalking": BUSY | {"role": "target"},
    "legacy": EMPTY | {"role": "legacy", "missing": ["delivery rate: not applicable"]},
}
COMPARED = PERIOD | {
    "target": "africastalking", "legacy": "legacy", "providers": PROVIDERS,
    "difference": {
        "successRate": {"points": -1.5, "low": -3.25, "high": 0.25},
        "p95Ms": -250.0,
        "cost": {"ZMW": {"perMessage": "-0.016"}},
    },
    "savings": {
        "currency": "ZMW", "messages": 1000, "perMessage": "0.016",
        "actual": "4", "projected": "16",
    },
}  # fmt: skip


def printed(parts: Callable[[ControlReply], Iterable[Any]], data: dict[str, Any]) -> str:
    reply = ControlReply(
        command_id="c", name="health", verdict="accepted", code="ok", text="",
        at=datetime(2026, 3, 1, tzinfo=UTC), data=data,
    )  # fmt: skip
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(*parts(reply), sep="\n")
    return file.getvalue()


@pytest.fixture
def health() -> str:
    return printed(health_parts, PERIOD | {"providers": PROVIDERS})


@pytest.fixture
def comparison() -> str:
    return printed(comparison_parts, COMPARED)


def test_health_says_which_period(health: str) -> None:
    assert "2026-03-01 07:30:00 to 2026-03-01 08:30:00 UTC (1 h)" in health


def test_health_shows_a_rate_with_its_sample_and_interval(health: str) -> None:
    assert re.search(r"success rate +98.5 % of 200 \(97.25 to 99.75\) +-", health)


def test_health_shows_nothing_where_nothing_is_known(health: str) -> None:
    assert re.search(r"response p95 +750 ms +-", health)
    assert re.search(r"delivery rate +- +-", health)


def test_health_ends_with_issues_and_what_cannot_be_said(health: str) -> None:
    ending = health.partition("validation delivery")[2]
    assert "africastalking: success rate 98.50 % is below 99 %" in ending
    assert "legacy: delivery rate: not applicable" in ending


def test_comparison_shows_differences_with_their_sign(comparison: str) -> None:
    assert re.search(r"success rate +98.5 % +- +-1.50 \(-3.25 to \+0.25\)", comparison)
    assert re.search(r"response p95 +750 ms +- +-250 ms", comparison)
    assert re.search(r"ZMW a message +0.784 +- +-0.016", comparison)


def test_comparison_shows_what_is_saved(comparison: str) -> None:
    assert "savings of africastalking against legacy: +0.016 ZMW a message" in comparison
    assert "so far in the period: +4 ZMW" in comparison
    assert "at 100 % of its 1000 messages: +16 ZMW" in comparison


def test_comparison_says_why_savings_are_not_known() -> None:
    unknown = {k: v for k, v in COMPARED.items() if k != "savings"} | {"savingsUnknown": "no price"}
    assert "savings: not known: no price" in printed(comparison_parts, unknown)


def test_nothing_is_wider_than_a_terminal(health: str, comparison: str) -> None:
    assert max(map(len, (health + comparison).splitlines())) <= 80


@pytest.mark.parametrize("parts", [health_parts, comparison_parts])
def test_a_report_of_another_worker_is_shown_as_it_came(
    parts: Callable[[ControlReply], Iterable[Any]],
) -> None:
    data = {"providers": {"africastalking": {"newFigure": 7}, "legacy": {"newFigure": 8}}}
    assert re.search(r"new figure +7 +8", printed(parts, data))
