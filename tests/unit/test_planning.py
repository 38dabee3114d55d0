"""The planner: what it says, and what it refuses."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.domain import planning
from worker.domain.evidence import Signal
from worker.domain.flags import Flags, Thresholds
from worker.domain.planning import MINIMUM_TIME, Unproved, forecast

FAILED, SLOW, UNDELIVERED = Signal
A_DAY = 2_000


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how exact the medians are."""
    monkeypatch.setattr(planning, "_RUNS", 21)


def planned(*options: str) -> tuple[int, list[str]]:
    said = CliRunner().invoke(app, ["plan", "--per-day", str(A_DAY), *options])
    return said.exit_code, said.output.splitlines()


@pytest.mark.parametrize("signal", Signal)
def test_what_goes_wrong_more_often_than_its_bound_cannot_be_proved(signal: Signal) -> None:
    (rung,) = forecast([25], A_DAY, {FAILED: 0.01, signal: 0.06})
    assert (rung.messages, rung.days) == (None, None)
    (missing,) = rung.unproved
    assert (missing.signal, missing.rate) == (signal, 0.06)


@pytest.mark.parametrize(
    ("share", "bound"),
    [(1, 2.0), (5, 2.0), (50, 2.0), (74, 2.0), (75, 1.0), (98, 1.0), (99, 0.5), (100, 0.5)],
)
def test_delivery_is_held_to_the_bound_of_the_phase_one_goes_on_in(
    share: int, bound: float
) -> None:
    (rung,) = forecast([share], A_DAY, {FAILED: 0.0, UNDELIVERED: 0.5})
    assert rung.unproved == (Unproved(UNDELIVERED, 0.5, pytest.approx(bound / 100.0)),)


def test_what_takes_too_long_is_named_as_what_cannot_be_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "ENDLESS", 3_000)
    (rung,) = forecast([75], A_DAY, {FAILED: 0.02, SLOW: 0.0})
    assert (rung.messages, [each.signal for each in rung.unproved]) == (None, [FAILED])


def test_failures_are_held_to_the_bound_of_the_flags() -> None:
    strict = Flags(thresholds=Thresholds(max_error_rate=1.0))
    (rung,) = forecast([1], A_DAY, {FAILED: 0.02}, strict)
    assert rung.unproved == (Unproved(FAILED, 0.02, 0.01),)


def test_a_share_takes_what_its_longest_proof_takes() -> None:
    (without,) = forecast([1], A_DAY, {FAILED: 0.01})
    (rung,) = forecast([1], A_DAY, {FAILED: 0.01, UNDELIVERED: 0.008})
    assert (without.waits_for, rung.waits_for) == ("failed", "undelivered")
    assert without.messages is not None
    assert rung.messages is not None
    assert rung.messages > 2.0 * without.messages


def test_delivery_is_known_at_the_delivery_age() -> None:
    ten_minutes = 10 / 1_440
    (rung,) = forecast([98], 10_000, {FAILED: 0.0, UNDELIVERED: 0.001})
    assert rung.messages is not None
    assert rung.days == pytest.approx(rung.messages / 9_800 + ten_minutes)


def test_no_share_takes_less_than_the_minimum_time() -> None:
    (rung,) = forecast([1], 10_000_000, {FAILED: 0.0})
    assert (rung.days, rung.waits_for) == (pytest.approx(30 / 1_440), MINIMUM_TIME)


def test_a_ladder_is_printed_with_messages_days_and_what_lasts_longest() -> None:
    code, lines = planned("--ladder", "1,100")
    assert code == 0, lines
    assert lines[0].split() == ["share", "target", "messages", "days", "longest"]
    assert [line.split()[-1] for line in lines[1:3]] == ["failed", "undelivered"]
    assert lines[-1].startswith("about")


def test_what_takes_over_a_month_is_marked() -> None:
    _, lines = planned("--ladder", "1", "--per-day", "100")
    assert lines[1].endswith(", over 30 days")


def test_a_ladder_that_cannot_be_proved_is_warned_about_by_the_proof_that_is_missing() -> None:
    code, lines = planned("--ladder", "98,100", "--undelivered-rate", "0.5")
    assert code == 1
    assert lines[1].endswith("undelivered")
    assert lines[2].endswith("cannot be proved: undelivered")
    assert lines[3:] == [
        "warning: 1 of 2 steps cannot be proved",
        "  undelivered: 0.50% is not proved to be below 0.50% by 1,000,000 messages",
    ]


def test_where_no_reports_come_delivery_is_not_asked_for() -> None:
    code, lines = planned("--ladder", "100", "--undelivered-rate", "50", "--no-reports")
    assert code == 0, lines


def test_its_lines_fit_eighty_columns() -> None:
    rates = ("--failure-rate", "50", "--slow-rate", "50", "--undelivered-rate", "50")
    _, lines = planned(*rates)
    assert max(len(line) for line in lines) <= 80
    assert lines[1].endswith("cannot be proved: failed, slow, undelivered")


@pytest.mark.parametrize("ladder", ["", "0", "101", "a,b"])
def test_a_ladder_that_is_none_is_refused_by_name(ladder: str) -> None:
    said = CliRunner().invoke(app, ["plan", "--per-day", "1000", "--ladder", ladder])
    assert said.exit_code == 2
    assert "--ladder" in said.output
