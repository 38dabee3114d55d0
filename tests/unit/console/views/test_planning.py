"""The form of the planner, and the plan in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.console.views.planning import plan_view, read_form
from worker.domain.detection import planning
from worker.domain.detection.past import Past
from worker.domain.detection.plan import plan_of, shares_in, traffic_of
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags

WELL = {Signal.FAILED: 0.003}
"""No phase refuses it."""


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "RUNS", 11)


def test_a_filled_in_form_is_a_question() -> None:
    form = {
        "per_day": "5,000", "days": "14", "ladder": "1, 5,25", "failed": "0.3", "no_reports": "on",
    }  # fmt: skip
    question = read_form(form).question
    assert question is not None
    assert (question.per_day, question.days, question.ladder) == (5000.0, 14.0, (1, 5, 25))
    assert (question.rates, question.no_reports) == ({Signal.FAILED: pytest.approx(0.003)}, True)
    assert not question.from_history


def test_the_history_stands_in_for_the_messages_a_day() -> None:
    question = read_form({"from_history": "on"}).question
    assert question is not None
    assert (question.per_day, question.from_history) == (None, True)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("per_day", "", "expected messages a day, or the last days; got neither"),
        ("per_day", "0", 'expected a number from 1 to 1,000,000,000, got "0"'),
        ("per_day", "nan", 'expected a number from 1 to 1,000,000,000, got "nan"'),
        ("per_day", "9" * 99, "expected a number from 1 to 1,000,000,000, got 99 characters"),
        ("days", "inf", 'expected a number from 0.04 to 3,650, got "inf"'),
        ("failed", "100", 'expected a number from 0 to 99, got "100"'),
        ("ladder", "5,1", "expected rising shares of 1 to 100, such as"),
        ("ladder", "1,,5", "expected rising shares of 1 to 100, such as"),
        ("ladder", "101", "expected rising shares of 1 to 100, such as"),
    ],
)
def test_a_bad_field_names_itself(field: str, text: str, expected: str) -> None:
    reading = read_form({"per_day": "5000", field: text})
    assert reading.question is None
    assert list(reading.problems) == [field]
    assert reading.problems[field].startswith(expected)


@given(st.dictionaries(st.sampled_from(["per_day", "days", "ladder", "failed"]), st.text()))
def test_whatever_comes_is_a_question_or_problems(form: dict[str, str]) -> None:
    reading = read_form(form)
    assert (reading.question is None) == bool(reading.problems)


@pytest.mark.parametrize("text", ["", "1,x", "0", "1,1", "1," + "9" * 99])
def test_shares_that_do_not_rise_from_1_to_100_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected rising shares|invalid literal"):
        shares_in(text)


def test_a_plan_has_a_verdict_ladders_and_harm() -> None:
    plan = plan_of(traffic_of(5_000.0, WELL, None), Flags(), days=14.0)
    view = plan_view(plan)
    assert view.verdict == "Within 14 days in 9 of 10 cases: yes."
    assert view.is_good
    assert view.assumed.startswith("5,000 messages a day; 0.3 % failed, 1 % slow")
    assert [ladder.title.split(":")[0] for ladder in view.ladders] == ["Recommended", "Default"]
    assert view.ladders[1].title == "Default: 1, 5, 10, 25, 50, 75, 90, 95, 98, 100 %"
    assert view.ladders[0].total is not None
    assert view.ladders[0].refused == ()
    assert [row.name for row in view.harm][-1] == "All at once, 0 to 100 %"
    assert all(len(row.customers) == len(view.parts) for row in view.harm)


def test_what_refuses_a_ladder_is_named_once_with_its_shares() -> None:
    ladder = (1, 75, 90, 95, 100)
    view = plan_view(plan_of(traffic_of(5_000.0, {}, None), Flags(), ladder=ladder))
    refused = view.ladders[0].refused
    assert not view.is_good
    assert view.verdict == "No time limit was given."
    assert any("MaxErrorRate, from 75 to 90 %: errors <= 1 %; here 2.00 %" in x for x in refused)
    assert len(refused) == len(set(refused))


def test_what_cannot_be_proved_has_no_figures() -> None:
    rates = {Signal.FAILED: 0.2}
    view = plan_view(plan_of(traffic_of(5_000.0, rates, None), Flags(), ladder=(5,)))
    (row,) = view.ladders[0].rungs
    assert (row.messages, row.longest) == (("–", "–"), "cannot be proved: failed")


def test_few_messages_are_said_to_prove_little() -> None:
    view = plan_view(plan_of(traffic_of(100.0, WELL, None), Flags(), ladder=(50, 100)))
    assert view.few


def test_the_days_of_the_history_are_named() -> None:
    past = Past(4_000.0, 3, WELL, (True, True), 600.0)
    plan = plan_of(traffic_of(4_000.0, {}, past), Flags(), ladder=(50, 100), past=past)
    assert plan_view(plan).assumed.startswith("4,000 messages a day of the last 3 days; 0.3 %")
