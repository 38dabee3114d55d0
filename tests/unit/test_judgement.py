"""The decision table, the way down, the lock, and replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from worker.domain import judgement
from worker.domain.evidence import Evidence
from worker.domain.flags import AUTOMATIC, Flags, Snapshot
from worker.domain.judgement import (
    Action,
    Topic,
    Window,
    judge,
    judge_window,
    permitted,
    went_down,
)
from worker.domain.phases import Phase

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATE = Snapshot(
    version=7,
    lineage="l",
    phase=Phase.GRADUAL_MIGRATION,
    percentage=25,
    flags=Flags(),
    since=NOW - timedelta(hours=1),
    proven=(5, 10, 25),
)
WORSE = ((50.0,) * 6, (0.0,) * 6, (0.0,) * 6)
PERHAPS = ((10.0,) * 6, (0.0,) * 6, (0.0,) * 6)
BAD = (((50.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))


@pytest.mark.parametrize(
    ("known", "action"),
    [
        (Evidence(), Action.GO_ON),
        (Evidence(relative=WORSE, absolute=BAD), Action.ROLL_BACK),
        (Evidence(relative=WORSE), Action.STEP_BACK),
        (Evidence(absolute=BAD), Action.HOLD),
        (Evidence(absolute=BAD, legacy_good=(5.0,) * 5), Action.ROLL_BACK),
        (Evidence(relative=WORSE, absolute=BAD, legacy_bad=(50.0,) * 5), Action.HOLD),
        (Evidence(at=100.0, breaker_since=30.0, legacy_answers=True), Action.STEP_BACK),
        (Evidence(at=100.0, breaker_since=30.0), Action.HOLD),
        (Evidence(at=80.0, breaker_since=30.0, legacy_answers=True), Action.GO_ON),
        (Evidence(relative=WORSE, absolute=BAD, legacy_open=True), Action.HOLD),
        (
            Evidence(at=100.0, breaker_since=30.0, legacy_answers=True, absolute=BAD),
            Action.STEP_BACK,
        ),
        (Evidence(account_fault="balance: x"), Action.HOLD),
        (Evidence(account_fault="balance: x", relative=WORSE), Action.HOLD),
        (Evidence(skew=(50.0,) * 6), Action.HOLD),
    ],
)
def test_the_decision_table(known: Evidence, action: Action) -> None:
    assert judge(known, STATE).action is action


def test_common_trouble_is_called_so() -> None:
    assert "hold: common trouble" in judge(Evidence(absolute=BAD), STATE).reason


def test_a_breaker_open_at_half_of_the_traffic_rolls_back() -> None:
    state = replace(STATE, percentage=50)
    known = Evidence(at=100.0, breaker_since=30.0, legacy_answers=True)
    assert judge(known, state).action is Action.ROLL_BACK


def test_without_a_way_back_it_holds() -> None:
    state = replace(STATE, legacy_retired=True)
    assert judge(Evidence(relative=WORSE, absolute=BAD), state).action is Action.HOLD


def test_a_step_back_goes_to_the_last_proven_share_and_locks() -> None:
    after = went_down(judge(Evidence(relative=WORSE), STATE), STATE, NOW)
    assert (after.phase, after.percentage) == (Phase.GRADUAL_MIGRATION, 10)
    assert after.lock is not None
    assert after.lock.until == NOW + timedelta(minutes=30)
    assert (after.version, after.initiated_by) == (8, AUTOMATIC)


def test_a_step_back_without_a_proven_share_is_a_rollback() -> None:
    state = replace(STATE, proven=())
    assert judge(Evidence(relative=WORSE), state).action is Action.ROLL_BACK


def test_a_rollback_leaves_legacy_alone() -> None:
    found = judge(Evidence(relative=WORSE, absolute=BAD), STATE)
    after = went_down(found, STATE, NOW)
    assert (after.phase, after.percentage, after.proven) == (Phase.ROLLBACK, 0, ())
    assert after.last_percentages == MappingProxyType({Phase.GRADUAL_MIGRATION: 25})


def test_each_lock_is_twice_the_last_and_the_third_in_a_week_waits_for_a_person() -> None:
    second = judgement.lock_after((NOW - timedelta(days=1), NOW), "x", NOW)
    third = judgement.lock_after((NOW - timedelta(days=6), NOW - timedelta(days=1), NOW), "x", NOW)
    old = tuple(NOW - timedelta(days=8 + n) for n in range(9))
    assert second.until == NOW + timedelta(hours=1)
    assert third.until is None
    assert judgement.lock_after((*old, NOW), "x", NOW).until == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    ("window", "action"),
    [
        (Window(95, 6), Action.ROLL_BACK),
        (Window(96, 4), Action.GO_ON),
        (Window(10, 80), Action.GO_ON),
        (Window(100, 0, 6_000.0), Action.ROLL_BACK),
    ],
)
def test_the_policy_threshold_judges_rates_on_its_sample(window: Window, action: Action) -> None:
    assert judge_window(window, Evidence(), STATE).action is action


@pytest.mark.parametrize(
    ("known", "topic"),
    [
        (Evidence(account_fault="x"), Topic.ACCOUNT),
        (Evidence(legacy_open=True), Topic.COMMON_TROUBLE),
        (Evidence(legacy_bad=(50.0,) * 5), Topic.COMMON_TROUBLE),
    ],
)
def test_what_is_no_statistics_holds_under_the_policy_threshold_too(
    known: Evidence, topic: Topic
) -> None:
    assert judge_window(Window(50, 95), known, STATE).topic is topic


def test_missing_reports_hold_under_the_policy_threshold_too() -> None:
    found = judge_window(Window(100, 0), Evidence(unreported=(True, False)), STATE)
    assert found.topic is Topic.REPORTS_MISSING


def test_at_100_per_cent_legacy_is_not_said_to_be_bad_too() -> None:
    state = replace(STATE, phase=Phase.COMPLETE_MIGRATION, percentage=100)
    assert judge(Evidence(absolute=BAD), state).topic is Topic.UNDECIDED
    bad = Evidence(absolute=BAD, legacy_bad=(50.0,) * 5)
    assert judge(bad, state).topic is Topic.COMMON_TROUBLE


def test_a_step_back_that_no_phase_has_room_for_is_a_rollback() -> None:
    phases = {p: replace(r, low=r.high) for p, r in STATE.flags.phases.items()}
    state = replace(STATE, flags=Flags(phases=MappingProxyType(phases)))
    after = went_down(judge(Evidence(relative=WORSE), state), state, NOW)
    assert (after.phase, after.percentage, after.proven) == (Phase.ROLLBACK, 0, ())


@pytest.mark.parametrize(
    ("known", "topic"),
    [
        (Evidence(absolute=BAD), Topic.COMMON_TROUBLE),
        (Evidence(at=100.0, breaker_since=30.0), Topic.COMMON_TROUBLE),
        (Evidence(absolute=BAD, relative=PERHAPS), Topic.UNDECIDED),
        (Evidence(account_fault="x"), Topic.ACCOUNT),
        (Evidence(skew=(50.0,) * 6), Topic.MISASSIGNED),
        (Evidence(unreported=(True, False)), Topic.REPORTS_MISSING),
    ],
)
def test_a_hold_says_what_it_is_about(known: Evidence, topic: Topic) -> None:
    assert judge(known, STATE).topic is topic


def test_going_down_is_only_asked_for_where_automatic_rollback_is_off() -> None:
    found = judge(Evidence(relative=WORSE), STATE)
    off = replace(STATE, flags=Flags(automatic_rollback=False))
    assert permitted(found, STATE) is found
    assert permitted(found, off).topic is Topic.ROLLBACK_WANTED
    assert permitted(judge(Evidence(), off), off).action is Action.GO_ON
