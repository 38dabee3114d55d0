"""Evidence is used for the state it was collected in alone, whichever way the state changed.

Engine, judgement and decision table together: every change of state is made by the order itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.support.changes import change
from tests.support.seeded import state_at
from worker.domain.detection import readings, tick
from worker.domain.detection.automatic_rollback import (
    Action,
    HoldReason,
    Judgement,
    judge,
    permitted,
)
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.signals import Signal
from worker.domain.detection.silence import NONE_JUDGED, DeliveryCounts
from worker.domain.detection.step_down import went_down
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.migration.decide import decide
from worker.domain.migration.direction import begins_anew
from worker.domain.migration.flags import Flags, RollbackPolicy, Thresholds
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import AUTOMATIC, Snapshot

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOTH_REPORT: Final = dict.fromkeys(Role, True)
SURE: Final = "seen, and wanted all the same"
OFF: Final = Flags(automatic_rollback=False)


class Migration:
    """A share in force, and the ticks of its monitor.

    Args:
        share: of the target, per cent.
        flags: in force.
    """

    def __init__(self, share: int, flags: Flags | None = None) -> None:
        self.state = replace(state_at(share), flags=flags or Flags(), since=NOON)
        self.known = Evidence()
        self.now = NOON
        self.providers = ("", "")

    def tick(
        self,
        target: tuple[int, int] = (0, 0),
        legacy: tuple[int, int] = (0, 0),
        *,
        judged: tuple[DeliveryCounts, DeliveryCounts] = (NONE_JUDGED, NONE_JUDGED),
        legacy_all: EventCounts | None = None,
        times: int = 1,
    ) -> Judgement:
        """So many ticks of 10 s alike (failed, all); the last judgement."""
        ours, theirs = EventCounts(*target), EventCounts(*legacy)
        for _ in range(times):
            self.now += timedelta(seconds=tick.TICK_S)
            made = Tick(
                self.now.timestamp(),
                ProviderTick(ours, judged=judged[0]),
                ProviderTick(theirs, judged=judged[1]),
                theirs if legacy_all is None else legacy_all,
            )
            setting = criteria_of(self.state, BOTH_REPORT, 600.0, self.providers)
            self.known = observe(self.known, made, setting)
        return permitted(judge(self.known, self.state), self.state)

    def order(self, name: str, *, behind_s: float = 0.0, **fields: Any) -> Snapshot:
        """A person's order, by a clock that may be behind."""
        given = change(name, **fields)
        fine = Measures(account_ok=True)
        decision = decide(given, self.state, fine, self.now - timedelta(seconds=behind_s))
        assert decision.after is not None, decision.text
        self.state = decision.after
        return self.state

    def dead(self, ticks: int = 2) -> None:
        """Ten good minutes, then a target that takes nothing; nobody acted yet."""
        share = self.state.percentage
        self.tick((0, share), (2, 100 - share), times=60)
        assert self.tick((share, share), (2, 100 - share), times=ticks).action is not Action.GO_ON


def test_an_emergency_and_an_advance_between_two_ticks_leave_no_alarm() -> None:
    made = Migration(25)
    made.dead()
    made.order("emergency-rollback")
    made.order("advance")
    assert made.tick((0, 1), (2, 99)) == Judgement(Action.GO_ON, "no alarm")


def test_a_person_s_step_down_leaves_no_alarm() -> None:
    made = Migration(25)
    made.dead()
    made.order("set-percentage", percentage=5)
    assert made.tick((0, 5), (2, 95)).action is Action.GO_ON


def test_a_target_disabled_and_enabled_between_two_ticks_leaves_no_alarm() -> None:
    made = Migration(25)
    made.dead()
    made.order("disable-provider", provider=Role.TARGET)
    made.order("enable-provider", provider=Role.TARGET)
    assert made.state.percentage == 25
    assert made.tick((0, 25), (2, 75)).action is Action.GO_ON


@pytest.mark.parametrize("hours", [0, 1, 24])
def test_automation_switched_on_does_not_act_on_what_was_before(hours: int) -> None:
    made = Migration(5, OFF)
    made.dead(30)
    assert judge(made.known, made.state).action.down
    made.tick((0, 5), (2, 95), times=360 * hours)
    made.order("set-flags", flags=Flags())
    assert made.tick().action is Action.GO_ON
    assert made.tick((0, 5), (2, 95)).action is Action.GO_ON


def test_what_was_judged_without_a_report_before_a_rollback_is_not_held_against_a_later_share() -> (
    None
):
    made = Migration(25)
    reported = (DeliveryCounts(0, 25, 25), DeliveryCounts(1, 75, 75))
    made.tick((0, 25), (2, 75), judged=reported, times=60)
    made.tick((0, 25), (2, 75), judged=(DeliveryCounts(25, 25, 0), DeliveryCounts(1, 75, 75)))
    made.order("emergency-rollback")
    made.tick((0, 0), (2, 100), judged=(NONE_JUDGED, DeliveryCounts(1, 100, 100)), times=60)
    made.now += timedelta(days=3)
    made.order("advance")
    found = made.tick(
        (0, 1), (2, 99), judged=(DeliveryCounts(0, 1, 1), DeliveryCounts(1, 99, 99)), times=68
    )
    assert made.known.counted[Signal.UNDELIVERED][:2] == (0, 6)
    assert found.action is Action.GO_ON


def test_a_legacy_that_was_bad_months_ago_is_not_said_to_be_bad_now() -> None:
    made = Migration(98)
    made.tick((2, 98), (2, 2), times=6)
    assert readings.legacy_is_bad(made.known)
    made.order("advance", override=SURE)
    made.now += timedelta(days=90)
    made.tick((0, 100))
    found = made.tick((100, 100), times=6)
    assert not readings.legacy_is_bad(made.known)
    assert "how legacy does is not known" in found.reason


def test_a_legacy_that_was_proved_good_a_day_ago_is_no_place_to_go_back_to() -> None:
    made = Migration(100, OFF)
    made.tick((100, 100), legacy_all=EventCounts(0, 10), times=40)
    assert readings.legacy_is_good(made.known)
    found = made.tick((100, 100), times=61)
    assert not readings.legacy_is_good(made.known)
    assert found.hold_reason is HoldReason.UNDECIDED
    made.order("set-flags", flags=Flags())
    assert made.tick((100, 100)).action is Action.GO_ON


def test_legacy_is_not_bad_by_a_bound_that_is_not_in_force() -> None:
    made = Migration(25)
    made.tick((4, 25), (12, 75), times=30)
    assert readings.legacy_is_bad(made.known)
    wide = Flags(thresholds=Thresholds(max_error_rate=25.0, min_success_rate=70.0))
    made.order("set-flags", flags=wide)
    made.tick((4, 25), (12, 75))
    assert not readings.legacy_is_bad(made.known)


def test_legacy_is_not_proved_good_by_a_bound_that_is_not_in_force() -> None:
    made = Migration(25)
    made.tick((10, 25), (0, 75), times=2)
    assert readings.legacy_is_good(made.known)
    strict = Flags(thresholds=Thresholds(max_error_rate=0.5, min_success_rate=90.0))
    made.order("set-flags", flags=strict)
    made.tick()
    assert not readings.legacy_is_good(made.known)


def test_a_person_who_passed_the_gates_over_is_not_overruled_by_what_stood_then() -> None:
    made = Migration(5)
    made.dead(3)
    made.order("advance", override=SURE)
    assert made.state.percentage == 25
    assert made.tick((0, 25), (2, 75)).action is Action.GO_ON


def test_a_later_phase_at_the_same_share_past_the_gates_leaves_no_alarm() -> None:
    made = Migration(75)
    made.dead(3)
    made.order("advance", override=SURE)
    assert made.state.percentage == 75
    assert made.tick((0, 75), (1, 25)).action is Action.GO_ON


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (RollbackPolicy.THRESHOLD, RollbackPolicy.EVIDENCE),
        (RollbackPolicy.EVIDENCE, RollbackPolicy.THRESHOLD),
    ],
)
def test_another_policy_does_not_act_on_what_was_before(
    old: RollbackPolicy, new: RollbackPolicy
) -> None:
    made = Migration(5, Flags(rollback_policy=old))
    made.dead(30)
    made.tick((0, 5), (0, 95), times=360)
    made.order("set-flags", flags=Flags(rollback_policy=new))
    assert made.tick((0, 5), (0, 95)).action is Action.GO_ON
    assert made.known.absolute == Evidence().absolute


def test_a_share_is_proved_by_nothing_accepted_at_the_one_before() -> None:
    made = Migration(5)
    made.tick(
        (0, 50), (8, 950), judged=(DeliveryCounts(0, 50, 50), DeliveryCounts(2, 950, 950)), times=70
    )
    made.state = replace(made.state, percentage=25, since=made.now + timedelta(seconds=1))
    judged = (DeliveryCounts(0, 50, 50), DeliveryCounts(2, 950, 950))
    made.tick((2, 250), (8, 750), judged=judged, times=60)
    assert readings.low_proof(made.known, Signal.UNDELIVERED) == 0.0
    assert made.known.counted[Signal.UNDELIVERED] == (0, 0, 0, 0)
    later = (DeliveryCounts(0, 250, 250), DeliveryCounts(2, 750, 750))
    made.tick((2, 250), (8, 750), judged=later, times=10)
    assert readings.low_proof(made.known, Signal.UNDELIVERED) > readings.PROOF


@pytest.mark.parametrize("behind_s", [0.0, 30.0, 3_600.0, -30.0])
def test_a_move_is_seen_whatever_the_clock_says_that_stamped_it(behind_s: float) -> None:
    made = Migration(25)
    made.dead()
    then = made.now - timedelta(seconds=behind_s)
    made.state = went_down(Judgement(Action.STEP_BACK, "worse"), made.state, then)
    assert made.tick((0, 10), (2, 90)).action is Action.GO_ON

    person = Migration(25)
    person.dead()
    person.order("set-percentage", percentage=5, behind_s=behind_s)
    assert person.tick((0, 5), (2, 95)).action is Action.GO_ON


# --- what goes on -------------------------------------------------------------------------------


def test_a_target_still_dead_after_a_person_s_step_down_is_found_in_a_dozen_messages() -> None:
    made = Migration(25)
    made.dead()
    made.order("set-percentage", percentage=5)
    made.tick((5, 5), (2, 95))  # partly from before
    messages = 0
    while not made.tick((1, 1), (0, 19)).action.down:
        messages += 1
        assert messages <= 12


def test_the_share_begun_is_still_watched_after_a_move_up_through_the_gates() -> None:
    made = Migration(5)
    made.tick((3, 5), (0, 95))
    suspicion = made.known.relative
    made.state = replace(made.state, percentage=25, since=made.now)
    made.tick()
    assert made.known.relative == suspicion
    assert made.known.low == Evidence().low


def test_what_is_known_of_legacy_s_trouble_survives_a_move_of_the_target() -> None:
    made = Migration(25)
    made.tick((0, 25), (30, 75), times=6)
    made.order("set-percentage", percentage=5)
    made.tick((0, 5), (40, 95))
    assert readings.legacy_is_bad(made.known)


def test_calls_counted_in_the_tick_that_sees_the_move_are_not_held_against_the_new_share() -> None:
    made = Migration(25)
    made.dead()
    made.order("set-percentage", percentage=5)
    assert made.tick((25, 25), (2, 75)).action is Action.GO_ON
    assert made.known.counted == Evidence().counted


def test_after_a_move_down_what_is_judged_within_the_delivery_age_was_accepted_before() -> None:
    made = Migration(25)
    lost = (DeliveryCounts(20, 25, 25), DeliveryCounts(0, 75, 75))
    made.tick((0, 25), (0, 75))
    made.order("set-percentage", percentage=5)
    # The last two learn of what was accepted right before the move was seen, or is judged late.
    assert made.tick((0, 5), (0, 95), judged=lost, times=60 + 2).action is Action.GO_ON
    assert made.tick((0, 5), (0, 95), judged=lost).action.down


def test_missing_reports_of_another_state_are_not_told_of_this_one() -> None:
    made = Migration(25)
    made.tick(
        (0, 25), (0, 75), judged=(DeliveryCounts(25, 25, 0), DeliveryCounts(0, 75, 75)), times=3
    )
    assert made.known.unreported == (True, False)
    made.order("set-percentage", percentage=5)
    assert made.tick((0, 5), (0, 95)).action is Action.GO_ON
    assert made.known.unreported == (False, False)


# --- legacy, and who they are -------------------------------------------------------------------


@pytest.mark.parametrize("changed", [("other", ""), ("", "other")])
def test_another_account_of_either_begins_the_comparison_anew(changed: tuple[str, str]) -> None:
    made = Migration(25)
    made.dead()
    made.providers = changed
    assert made.tick((0, 25), (2, 75)).action is Action.GO_ON
    assert made.known.relative == Evidence().relative


def test_another_legacy_is_not_bad_because_the_one_before_was() -> None:
    made = Migration(25)
    made.tick((0, 25), (40, 75), times=6)
    made.providers = ("", "other")
    made.tick((0, 25), (0, 75))
    assert not readings.legacy_is_bad(made.known)
    assert made.known.legacy_bad_at is None


def test_a_legacy_that_is_enabled_again_begins_anew() -> None:
    made = Migration(100)
    missing = (NONE_JUDGED, DeliveryCounts(40, 40, 0))
    made.tick((0, 100), legacy_all=EventCounts(30, 40), judged=missing, times=6)
    assert readings.legacy_is_bad(made.known)
    assert made.known.unreported == (False, True)
    made.order("disable-provider", provider=Role.LEGACY, override=SURE)
    made.tick((0, 100))
    made.order("enable-provider", provider=Role.LEGACY)
    made.tick((0, 100))
    assert not readings.legacy_is_bad(made.known)
    assert made.known.unreported == (False, False)
    assert made.known.silences == Evidence().silences


def test_a_way_back_that_is_there_again_is_not_taken_for_what_was_before() -> None:
    made = Migration(100)
    made.order("disable-provider", provider=Role.LEGACY, override=SURE)
    assert made.tick((100, 100), times=3).action is Action.HOLD
    made.order("enable-provider", provider=Role.LEGACY)
    assert made.tick(legacy_all=EventCounts(0, 100), times=6).action is Action.GO_ON
    assert made.tick((100, 100), legacy_all=EventCounts(0, 100), times=2).action is Action.ROLL_BACK


def test_a_comparison_lapses_at_the_whole_share() -> None:
    made = Migration(98)
    made.tick((6, 98), (0, 2), times=3)
    assert made.known.relative != Evidence().relative
    made.state = replace(made.state, phase=Phase.COMPLETE_MIGRATION, percentage=100, since=made.now)
    made.tick((6, 100))
    assert made.known.relative == Evidence().relative


@pytest.mark.parametrize(("ticks", "kept"), [(60, True), (61, False)])
def test_a_comparison_lapses_ten_minutes_after_the_last_word_of_legacy(
    ticks: int, *, kept: bool
) -> None:
    made = Migration(25)
    made.tick((3, 25), (0, 75))
    made.tick(times=ticks)
    assert (made.known.relative != Evidence().relative) is kept


# --- an alarm without news ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silent", "action"), [(1, Action.ROLL_BACK), (6, Action.ROLL_BACK), (7, Action.HOLD)]
)
def test_an_alarm_acts_within_a_minute_of_its_last_event(silent: int, action: Action) -> None:
    made = Migration(25)
    made.tick((25, 25), (0, 75))
    assert made.tick(times=silent).action is action


def test_an_alarm_without_news_says_so_and_acts_on_the_next_event() -> None:
    made = Migration(25)
    made.tick((25, 25), (0, 75))
    held = made.tick(times=10)
    assert (held.hold_reason, "for over 60 s: not acted on" in held.reason) == (
        HoldReason.UNDECIDED,
        True,
    )
    assert made.tick((1, 1), (0, 3)).action.down


def test_an_event_of_another_signal_is_no_news() -> None:
    made = Migration(25)
    made.tick((25, 25), (0, 75))
    made.tick(times=10)
    slow = ProviderTick(slow=EventCounts(1, 1))
    made.now += timedelta(seconds=10)
    setting = criteria_of(made.state, BOTH_REPORT, 600.0)
    made.known = observe(made.known, Tick(made.now.timestamp(), slow, ProviderTick()), setting)
    assert judge(made.known, made.state).action is Action.HOLD


def test_an_alarm_that_may_not_act_is_asked_for_however_long_it_stands() -> None:
    made = Migration(25, OFF)
    made.tick((25, 25), (0, 75))
    assert made.tick(times=30).hold_reason is HoldReason.ROLLBACK_WANTED


# --- the number in the state --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "name", "fields", "raised"),
    [
        (25, "emergency-rollback", {}, 1),
        (25, "rollback", {}, 1),
        (25, "set-percentage", {"percentage": 10}, 1),
        (25, "set-percentage", {"percentage": 0}, 1),
        (25, "set-flags", {"flags": Flags(target_enabled=False)}, 1),
        (25, "set-flags", {"flags": Flags(rollback_policy=RollbackPolicy.THRESHOLD)}, 1),
        (25, "set-flags", {"flags": OFF}, 0),
        (25, "set-flags", {"flags": Flags(user_overrides={"u": Role.LEGACY})}, 0),
        (25, "restore", {"older": state_at(5), "label": "x"}, 1),
        (25, "disable-provider", {"provider": Role.TARGET}, 1),
        (25, "disable-provider", {"provider": Role.LEGACY, "override": SURE}, 1),
        (25, "step", {"override": SURE}, 1),
        (75, "advance", {"override": SURE}, 1),
        (25, "hold", {}, 0),
        (25, "backup", {"label": "x"}, 0),
        (25, "set-user-override", {"user": "u", "provider": Role.TARGET, "override": SURE}, 0),
    ],
)
def test_the_number_rises_by_one_where_evidence_begins_anew(
    share: int, name: str, fields: dict[str, Any], raised: int
) -> None:
    made = Migration(share)
    made.state = replace(made.state, anew=7)
    assert made.order(name, **fields).anew == 7 + raised


def test_a_way_up_from_nothing_begins_anew_and_one_through_the_gates_does_not() -> None:
    made = Migration(25)
    made.state = replace(made.state, phase=Phase.NOT_STARTED, percentage=0)
    assert made.order("advance").anew == 1
    low, high = replace(state_at(5), since=NOON), replace(state_at(10), since=NOON)
    assert not begins_anew(low, high, overridden=False)


@pytest.mark.parametrize("share", [25, 100])
def test_a_legacy_that_is_enabled_begins_anew(share: int) -> None:
    made = Migration(share, Flags(legacy_enabled=False))
    assert made.order("enable-provider", provider=Role.LEGACY).anew == 1


def test_automation_s_own_way_down_begins_anew() -> None:
    made = Migration(25)
    after = went_down(Judgement(Action.ROLL_BACK, "worse"), made.state, NOON)
    assert (after.anew, after.initiated_by) == (1, AUTOMATIC)


@pytest.mark.parametrize("name", ["rollback", "set-percentage"])
def test_after_any_fall_only_shares_below_the_one_left_are_proven(name: str) -> None:
    made = Migration(75)
    made.state = replace(made.state, proven=(1, 5, 25, 50, 75, 90))
    fields = {"percentage": 10} if name == "set-percentage" else {}
    assert made.order(name, **fields).proven == (1, 5, 25, 50)


def test_where_little_is_sent_the_usual_gaps_between_outcomes_of_legacy_end_no_comparison() -> None:
    made = Migration(10)
    for _ in range(40):
        made.tick((1, 1), (0, 0))
        made.tick((0, 0), (0, 1), times=1)
        made.tick(times=88)  # one of each in a quarter of an hour
    assert made.known.compared[Signal.FAILED].legacy > 0
    made.tick(times=8_640)
    assert made.known.relative == Evidence().relative
