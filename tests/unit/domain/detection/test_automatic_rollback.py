"""The decision table, the way down, the lock, and replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from worker.domain.detection import step_down
from worker.domain.detection.automatic_rollback import Action, HoldReason, judge, permitted
from worker.domain.detection.contrast import Contrast, Proofs
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.sick_replica import SickReplica
from worker.domain.detection.signals import Signal
from worker.domain.detection.silence import NO_SILENCE, Silence
from worker.domain.detection.step_down import went_down
from worker.domain.detection.threshold_policy import Window, judge_window
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Phase
from worker.domain.migration.snapshot import AUTOMATIC, Snapshot

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
APART = Contrast(shown=Proofs((5.0,) * 5, (5.0,) * 5))
LEGACY_GOOD = Contrast(shown=Proofs(good=(5.0,) * 5))
TARGET_BAD = Contrast(shown=Proofs(bad=(5.0,) * 5))
BAD = (((50.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))


@pytest.mark.parametrize(
    ("known", "action"),
    [
        (Evidence(), Action.GO_ON),
        (Evidence(relative=WORSE, absolute=BAD), Action.ROLL_BACK),
        (Evidence(relative=WORSE), Action.STEP_BACK),
        (Evidence(absolute=BAD), Action.HOLD),
        (Evidence(absolute=BAD, apart=APART), Action.ROLL_BACK),
        (Evidence(absolute=BAD, apart=LEGACY_GOOD), Action.HOLD),
        (Evidence(absolute=BAD, apart=TARGET_BAD), Action.HOLD),
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
    second = step_down.lock_after((NOW - timedelta(days=1), NOW), "x", NOW)
    third = step_down.lock_after((NOW - timedelta(days=6), NOW - timedelta(days=1), NOW), "x", NOW)
    old = tuple(NOW - timedelta(days=8 + n) for n in range(9))
    assert second.until == NOW + timedelta(hours=1)
    assert third.until is None
    assert step_down.lock_after((*old, NOW), "x", NOW).until == NOW + timedelta(hours=24)


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
    ("known", "hold_reason"),
    [
        (Evidence(account_fault="x"), HoldReason.ACCOUNT),
        (Evidence(legacy_open=True), HoldReason.COMMON_TROUBLE),
        (Evidence(legacy_bad=(50.0,) * 5), HoldReason.COMMON_TROUBLE),
    ],
)
def test_what_is_no_statistics_holds_under_the_policy_threshold_too(
    known: Evidence, hold_reason: HoldReason
) -> None:
    assert judge_window(Window(50, 95), known, STATE).hold_reason is hold_reason


def test_missing_reports_hold_under_the_policy_threshold_too() -> None:
    found = judge_window(
        Window(100, 0), Evidence(silences=(Silence(missing=True), NO_SILENCE)), STATE
    )
    assert found.hold_reason is HoldReason.REPORTS_MISSING


def test_at_100_per_cent_legacy_is_not_said_to_be_bad_too() -> None:
    state = replace(STATE, phase=Phase.COMPLETE_MIGRATION, percentage=100)
    assert judge(Evidence(absolute=BAD), state).hold_reason is HoldReason.UNDECIDED
    bad = Evidence(absolute=BAD, legacy_bad=(50.0,) * 5)
    assert judge(bad, state).hold_reason is HoldReason.COMMON_TROUBLE


def test_a_step_back_leads_to_the_highest_proven_share_that_a_phase_has_room_for() -> None:
    phases = {p: replace(r, low=r.high) for p, r in STATE.flags.phases.items()}
    state = replace(STATE, flags=Flags(phases=MappingProxyType(phases)))
    found = judge(Evidence(relative=WORSE), state)
    after = went_down(found, state, NOW)
    assert found.action is Action.STEP_BACK
    assert (after.phase, after.percentage) == (Phase.PARALLEL_SETUP, 5)


def test_where_no_phase_has_room_for_a_proven_share_it_is_a_rollback_and_called_so() -> None:
    phases = {p: replace(r, low=99, high=99) for p, r in STATE.flags.phases.items()}
    state = replace(STATE, flags=Flags(phases=MappingProxyType(phases)))
    found = judge(Evidence(relative=WORSE), state)
    after = went_down(found, state, NOW)
    assert found.action is Action.ROLL_BACK
    assert (after.phase, after.percentage, after.proven) == (Phase.ROLLBACK, 0, ())


@pytest.mark.parametrize(
    ("known", "hold_reason"),
    [
        (Evidence(absolute=BAD), HoldReason.COMMON_TROUBLE),
        (Evidence(at=100.0, breaker_since=30.0), HoldReason.COMMON_TROUBLE),
        (Evidence(absolute=BAD, relative=PERHAPS), HoldReason.UNDECIDED),
        (Evidence(account_fault="x"), HoldReason.ACCOUNT),
        (Evidence(skew=(50.0,) * 6), HoldReason.MISASSIGNED),
        (Evidence(silences=(Silence(missing=True), NO_SILENCE)), HoldReason.REPORTS_MISSING),
    ],
)
def test_a_hold_says_what_it_is_about(known: Evidence, hold_reason: HoldReason) -> None:
    assert judge(known, STATE).hold_reason is hold_reason


def test_going_down_is_only_asked_for_where_automatic_rollback_is_off() -> None:
    found = judge(Evidence(relative=WORSE), STATE)
    off = replace(STATE, flags=Flags(automatic_rollback=False))
    assert permitted(found, STATE) is found
    assert permitted(found, off).hold_reason is HoldReason.ROLLBACK_WANTED
    assert permitted(judge(Evidence(), off), off).action is Action.GO_ON


# --- a grace for restarts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grace_since", "signal", "action"),
    [
        (100.0, Signal.FAILED, Action.HOLD),
        (40.1, Signal.SLOW, Action.HOLD),
        (None, Signal.FAILED, Action.ROLL_BACK),
        (100.0, Signal.UNDELIVERED, Action.ROLL_BACK),
    ],
)
def test_a_grace_for_restarts_holds_while_calls_fail_and_nothing_is_lost(
    grace_since: float | None, signal: Signal, action: Action
) -> None:
    relative = tuple((50.0,) * 6 if s is signal else (0.0,) * 6 for s in Signal)
    absolute = tuple(((50.0,) * 5,) * (2 if s is Signal.FAILED else 1) if s is signal else
                     ((0.0,) * 5,) * (2 if s is Signal.FAILED else 1) for s in Signal)  # fmt: skip
    known = Evidence(at=100.0, relative=relative, absolute=absolute, grace_since=grace_since)
    found = judge(known, replace(STATE, flags=Flags(rollback_grace_s=60.0)))
    assert found.action is action
    assert ("RollbackGraceSeconds" in found.reason) is (action is Action.HOLD)


# --- one sick replica --------------------------------------------------------------------------

SICK = SickReplica("0123456789abcdef", 50, 50, 2, 100)
SLOWER = ((0.0,) * 6, (50.0,) * 6, (0.0,) * 6)
SLOWER_TOO = ((50.0,) * 6, (50.0,) * 6, (0.0,) * 6)
MINUTE_OVER = {"at": 100.0, "breaker_since": 30.0, "legacy_answers": True}


@pytest.mark.parametrize(
    ("known", "action"),
    [
        (Evidence(sick_replica=SICK, relative=WORSE, absolute=BAD), Action.HOLD),
        (Evidence(sick_replica=SICK, relative=WORSE), Action.HOLD),
        (Evidence(sick_replica=SICK, absolute=BAD), Action.HOLD),
        (Evidence(sick_replica=SICK, absolute=BAD, apart=APART), Action.HOLD),
        (Evidence(sick_replica=SICK, relative=SLOWER_TOO), Action.STEP_BACK),
        (Evidence(sick_replica=SICK, relative=SLOWER), Action.STEP_BACK),
        (Evidence(sick_replica=SICK, relative=WORSE, **MINUTE_OVER), Action.STEP_BACK),
        (Evidence(sick_replica=SICK), Action.GO_ON),
    ],
)
def test_an_alarm_about_failed_calls_of_one_replica_holds_and_any_other_acts(
    known: Evidence, action: Action
) -> None:
    found = judge(known, STATE)
    assert found.action is action
    assert (found.hold_reason is HoldReason.SICK_REPLICA) is (action is Action.HOLD)


def test_the_hold_names_the_replica_and_says_what_to_do() -> None:
    assert judge(Evidence(sick_replica=SICK, relative=WORSE), STATE).reason == (
        "hold: replica …56789abcdef fails 50 of its 50 calls to the target, the others 2 of 100: "
        "restart or isolate it"
    )


@pytest.mark.parametrize(
    ("window", "action"),
    [
        (Window(90, 10), Action.HOLD),
        (Window(90, 10, 6_000.0), Action.ROLL_BACK),
        (Window(100, 0, 6_000.0), Action.ROLL_BACK),
        (Window(100, 0), Action.GO_ON),
    ],
)
def test_the_policy_threshold_holds_for_one_replica_too(window: Window, action: Action) -> None:
    assert judge_window(window, Evidence(sick_replica=SICK), STATE).action is action


@pytest.mark.parametrize(
    ("since", "action"),
    [(99.0, Action.GO_ON), (100.0, Action.ROLL_BACK), (None, Action.ROLL_BACK)],
)
def test_a_window_that_begins_before_failures_count_again_is_not_judged_by_them(
    since: float | None, action: Action
) -> None:
    window = Window(90, 10, since=since)
    assert judge_window(window, Evidence(failed_from=100.0), STATE).action is action
    assert judge_window(window, Evidence(), STATE).action is Action.ROLL_BACK
